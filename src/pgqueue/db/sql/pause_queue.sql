-- Stops claims from a queue. $1 queue.
-- Answers its name if it was not paused.
-- needs: the primary key of queue
-- locks: its row
insert into :"schema".queue (name, paused_at)
values ($1::text, statement_timestamp())
on conflict (name) do update set paused_at = excluded.paused_at where queue.paused_at is null
returning name
