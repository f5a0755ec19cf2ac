-- The seconds until the next scheduled job is due, none if there is none. $1 look no further back.
-- needs: job_scheduled
-- locks: nothing
select extract(epoch from run_at - clock_timestamp())::float8 as seconds
from :"schema".job
where position is null and run_at >= $1::timestamptz and run_at < 'infinity'
order by run_at
limit 1
