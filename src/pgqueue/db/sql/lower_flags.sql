-- Tells enqueuers of these queues that nobody waits for a notification, and the workers on watch that
-- somebody else looks after these. $1 queue names, $2 the kind of worker that is going to look after
-- them, or null: a queue that another kind serves keeps its flag then, which tells of its jobs.
-- Answers the queues whose flag was up until now, and whether it was taken down.
-- needs: the primary keys of queue and worker
-- locks: rows of queue, only those it changes; skips what others hold
with up as materialized (
    select name,
           $2::bigint is not null
           and exists (select from :"schema".worker
                       where worker.kind <> $2::bigint and queue.name = any (worker.queues)) as kept
    from :"schema".queue
    where name = any ($1::text[]) and waiting
    for update of queue skip locked
),
lowered as (
    update :"schema".queue set waiting = false
    from up
    where queue.name = any (array[up.name]) and not up.kept
    returning queue.name
)
select name, true as lowered, :"schema".notify('d:' || name) from lowered
union all
select name, false, null from up where kept
