-- Tells enqueuers of these queues that nobody waits for a notification, and the workers on watch that
-- somebody else looks after these. $1 queue names.
-- Answers the queues whose flag was up until now.
-- needs: the primary key of queue
-- locks: rows of queue, only those it changes; skips what others hold
with up as materialized (
    select name
    from :"schema".queue
    where name = any ($1::text[]) and waiting
    for update skip locked
),
lowered as (
    update :"schema".queue set waiting = false from up where queue.name = any (array[up.name])
    returning queue.name
)
select name, :"schema".notify('d:' || name) from lowered
