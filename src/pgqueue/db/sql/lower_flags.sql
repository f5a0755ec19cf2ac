-- Tells enqueuers of these queues that nobody waits for a notification. $1 queue names.
-- needs: the primary key of queue
-- locks: rows of queue, only those it changes; skips what others hold
with up as materialized (
    select name
    from :"schema".queue
    where name = any ($1::text[]) and waiting
    for update skip locked
)
update :"schema".queue set waiting = false from up where queue.name = any (array[up.name])
