-- Takes workers off the list, once they hold no job any more. The last ones of a queue take its flag
-- down: nobody is left to be notified. Who came meanwhile is told, and raises it. Their permits are another's.
-- $1 worker ids.
-- needs: the primary keys of worker and queue; permit has few rows
-- locks: their rows and those of their permits, and rows of queue that it changes; skips what others hold there
with gone as (
    delete from :"schema".worker where id = any ($1::bigint[]) returning queues
),
up as materialized (
    select queue.name
    from :"schema".queue
    where queue.name = any (array(select unnest(gone.queues) from gone)) and queue.waiting
      and not exists (select from :"schema".worker
                      where worker.id <> all ($1::bigint[]) and not worker.stopping
                        and queue.name = any (worker.queues))
    for update of queue skip locked
),
void as (
    delete from :"schema".permit where worker_id = any ($1::bigint[]) returning queue, n
),
lowered as (
    update :"schema".queue set waiting = false from up where queue.name = any (array[up.name])
    returning queue.name
)
select :"schema".notify('d:' || name) from lowered
union all
select :"schema".wake_permits(freed.queue, 0) from (select distinct queue from void where n > 0) as freed
