-- Enters the queues of registered workers that are missing.
-- needs: the primary key of queue
-- locks: rows of queue in the order of name
insert into :"schema".queue (name)
select distinct served.name
from :"schema".worker, unnest(worker.queues) as served (name)
order by served.name
on conflict do nothing
