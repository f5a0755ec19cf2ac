-- The queues of which code or an operator says anything, by name. held: permits of all workers.
-- needs: queue and permit have few rows; the primary key of worker
-- locks: nothing
select name, settings::text, declared::text, changed::text, changed_at, changed_by, full_at,
       (select coalesce(sum(permit.n), 0)::integer
        from :"schema".permit
             join :"schema".worker on worker.id = permit.worker_id
        where permit.queue = queue.name) as held
from :"schema".queue
where declared is not null or changed is not null
order by name
