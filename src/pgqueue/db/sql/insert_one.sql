-- Enqueues one job with none but the options that every job has, checked already, and tells nobody;
-- answers its id. $1 task, $2 its arguments as JSON text, $3 queue, $4 priority, $5 max_attempts: typed first,
-- as in enqueue_one.
-- needs: nothing
-- locks: nothing
insert into :"schema".new_job (task, args, queue, priority, max_attempts)
values (
    cast($1 as pg_catalog.text),
    cast(cast($2 as pg_catalog.text) as pg_catalog.jsonb),
    cast($3 as pg_catalog.text),
    cast($4 as pg_catalog.int4),
    cast($5 as pg_catalog.int4))
returning id
