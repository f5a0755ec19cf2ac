-- Asks enqueuers of these queues to notify. $1 queue names.
-- Answers the queues whose flag was down.
-- needs: the primary key of queue
-- locks: rows of queue, only those it changes; skips what others hold: claims must not wait for a hint
with down as materialized (
    select name
    from :"schema".queue
    where name = any ($1::text[]) and not waiting
    for update skip locked
)
update :"schema".queue set waiting = true from down where queue.name = any (array[down.name])
returning queue.name
