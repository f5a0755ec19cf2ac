-- Enqueues jobs that differ in nothing but their arguments; answers their ids in order.
-- $1 task, $2 JSON text of an array with the arguments of each, $3 queue, $4 priority, $5 max_attempts: typed
-- first, as in enqueue_one.
-- needs: nothing
-- locks: nothing
select :"schema".enqueue_alike(
    cast($1 as pg_catalog.text),
    cast(cast($2 as pg_catalog.text) as pg_catalog.jsonb),
    cast($3 as pg_catalog.text),
    cast($4 as pg_catalog.int4),
    cast($5 as pg_catalog.int4))
