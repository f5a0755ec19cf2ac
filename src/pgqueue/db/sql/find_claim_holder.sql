-- The transaction that claimed from a queue last: the one that does just now, if it is busy. $1 queue.
-- needs: the primary key of turn
-- locks: nothing
select xmax::text as transaction
from :"schema".turn
where queue = $1::text and xmax <> '0'::xid
