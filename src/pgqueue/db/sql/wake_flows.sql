-- Tells workers that these flows have tickets, where one waits for these queues.
-- $1 flows, $2 a queue of each.
-- needs: the primary key of queue
-- locks: nothing
select :"schema".wake_flows($1::text[], $2::text[])
