-- Seconds until the next scheduled job is due, negative when overdue, null when there is none.
-- $1 look no further back than this due time.
-- needs: job_scheduled
-- locks: nothing
select extract(epoch from run_at - clock_timestamp())::float8
from :"schema".job
where position is null and run_at >= $1::timestamptz and run_at < 'infinity'
order by run_at, id
limit 1
