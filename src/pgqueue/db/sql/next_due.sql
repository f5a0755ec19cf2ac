-- When the next scheduled job is due. $1 look no further back.
-- Answers the seconds until then, null if there is none, and how far back nobody need look again.
-- needs: job_scheduled
-- locks: nothing
select extract(epoch from due.run_at - clock_timestamp())::float8 as seconds,
       least(due.run_at, statement_timestamp()) as clear_until
from (values (1)) as one
     left join lateral (
         select run_at
         from :"schema".job
         where position is null and run_at >= $1::timestamptz and run_at < 'infinity'
         order by run_at
         limit 1
     ) as due on true
