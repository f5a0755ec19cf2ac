-- The queues in which a job of these tasks waits for a worker, those first that have the oldest.
-- $1 tasks.
-- needs: nothing; it reads what is ready, and is for the few jobs of a test
-- locks: nothing
select queue
from :"schema".job
where position is not null and worker_id is null and task = any ($1::text[])
group by queue
order by min(position)
