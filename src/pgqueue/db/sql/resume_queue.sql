-- Lets workers claim from a queue again. $1 queue.
-- Answers its name if it was paused.
-- needs: the primary key of queue
-- locks: its row
update :"schema".queue set paused_at = null where name = $1::text and paused_at is not null
returning name
