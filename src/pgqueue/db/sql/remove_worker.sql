-- Takes a worker off the list, once it holds no job any more.
-- $1 worker id.
-- needs: the primary key of worker
-- locks: its row
delete from :"schema".worker where id = $1::bigint
