-- Workers that hold jobs and are not registered: somebody deleted their row, or had a job locked when
-- they were rescued.
-- needs: nothing: it reads job as a whole, every minute in the whole fleet
-- locks: nothing
select distinct worker_id
from :"schema".job
where worker_id is not null
  and not exists (select from :"schema".worker where worker.id = job.worker_id)
