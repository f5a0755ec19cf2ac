-- Asks enqueuers of these queues to notify. $1 queue names.
-- Answers the queues whose flag was down.
-- needs: the primary key of queue
-- locks: rows of queue, only those it changes
update :"schema".queue set waiting = true where name = any ($1::text[]) and not waiting returning name
