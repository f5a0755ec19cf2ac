-- A worker, if it is registered. $1 worker id.
-- needs: the primary key of worker
-- locks: nothing
select id from :"schema".worker where id = $1::bigint
