-- Gives a position to what stands in the lines of flows, whatever their limits and pauses: for tests, in which no
-- worker admits. In flows that run in order, the first of each key alone, once those before it are over.
-- $1 tasks, $2 flows whose jobs run in order, $3 those of them in which a key stands still at a dead job.
-- Answers the queues that got work, once for each job.
-- needs: job_line; dead has few rows in a test
-- locks: the rows it moves, in the order of rank; skips what others hold
with first as (
    select ctid as row_id
    from :"schema".job
    where flow is not null and position is null and rank > 0 and run_at = 'infinity'
      and task = any ($1::text[])
      and (flow <> all ($2::text[])
           or not exists (select from :"schema".job as before
                          where before.flow = job.flow and before.flow_key = job.flow_key
                            and before.id < job.id and before.rank is not null))
      and (flow <> all ($3::text[])
           or not exists (select from :"schema".dead
                          where dead.flow = job.flow and dead.flow_key = job.flow_key
                            and dead.id < job.id))
    order by rank
    for update skip locked
)
update :"schema".job
set position = nextval(':"schema".position_seq'::regclass), run_at = statement_timestamp()
from first
where job.ctid = first.row_id
returning job.queue
