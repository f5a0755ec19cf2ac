-- Enqueues one job with none but the options that every job has, checked already; answers its id,
-- negative if it looked whether a worker waits for a notification and none does.
-- $1 task, $2 its arguments as JSON text, $3 queue, $4 priority, $5 max_attempts, $6 whether to look:
-- each typed first, since drivers and the codecs of a caller's connection differ.
-- needs: nothing
-- locks: nothing
select :"schema".enqueue_one(
    cast($1 as pg_catalog.text),
    cast(cast($2 as pg_catalog.text) as pg_catalog.jsonb),
    cast($3 as pg_catalog.text),
    cast($4 as pg_catalog.int4),
    cast($5 as pg_catalog.int4),
    cast($6 as pg_catalog.bool))
