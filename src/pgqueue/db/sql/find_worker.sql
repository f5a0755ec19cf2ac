-- Those of these workers that are registered. $1 worker ids.
-- needs: the primary key of worker
-- locks: nothing
select id from :"schema".worker where id = any ($1::bigint[])
