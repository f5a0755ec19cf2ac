-- Asks enqueuers of these queues to notify. $1 queue names.
-- Answers the queues whose flag is up now, and whether it was down before. One that is locked while
-- its flag is down is missing: it stays so.
-- needs: the primary key of queue
-- locks: rows of queue, only those it changes; skips what others hold: claims must not wait for a hint
with down as materialized (
    select name
    from :"schema".queue
    where name = any ($1::text[]) and not waiting
    for update skip locked
),
raised as (
    update :"schema".queue set waiting = true from down where queue.name = any (array[down.name])
    returning queue.name
)
select name, true as raised
from raised
union all
select name, false
from :"schema".queue
where name = any ($1::text[]) and waiting
