-- Makes due jobs ready: they get their position now, behind what is ready already.
-- $1 how many at most, $2 look no further back than this due time.
-- Answers the queues that got work, once for each job.
-- needs: job_scheduled, job by ctid
-- locks: the rows it moves, in the order of run_at and id; skips what others hold
with due as (
    select ctid as row_id
    from :"schema".job
    where position is null and run_at >= $2::timestamptz and run_at <= statement_timestamp()
    order by run_at, id
    limit $1::integer
    for update skip locked
)
update :"schema".job
set position = nextval(':"schema".position_seq'::regclass)
from due
where job.ctid = due.row_id
returning job.queue, job.run_at
