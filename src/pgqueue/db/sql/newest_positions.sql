-- The newest position that was handed out, beside each of the queues $1 that is not paused.
-- needs: the primary key of queue
-- locks: nothing
select want.name, last_value - (not is_called)::integer as newest
from :"schema".position_seq, unnest($1::text[]) as want (name)
where not exists (
    select from :"schema".queue where queue.name = want.name and queue.paused_at is not null
)
