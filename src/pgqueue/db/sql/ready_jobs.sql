-- Makes scheduled jobs ready now, among them those that wait for their next attempt.
-- $1 job ids.
-- Answers id and queue of those that were scheduled.
-- needs: the primary key of job
-- locks: the rows of these jobs, in the order of id
with held as materialized (
    select id
    from :"schema".job
    where id = any ($1::bigint[]) and position is null and run_at < 'infinity'
    order by id
    for update
)
update :"schema".job
set position = nextval(':"schema".position_seq'::regclass),
    run_at = statement_timestamp()
from held
where job.id = any (array[held.id])
returning job.id, job.queue
