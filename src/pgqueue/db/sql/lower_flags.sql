-- Tells enqueuers of these queues that nobody waits for a notification. $1 queue names.
-- needs: the primary key of queue
-- locks: rows of queue, only those it changes
update :"schema".queue set waiting = false where name = any ($1::text[]) and waiting
