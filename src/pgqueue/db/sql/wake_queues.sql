-- Wakes workers that wait for these queues. $1 queue names.
-- needs: the primary key of queue
-- locks: nothing
select :"schema".wake($1::text[])
