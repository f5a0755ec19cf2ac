-- Says how each tenant fared, from the starts and the results that are there.
-- $1 the limit of a tenant.
--   most_at_once  the largest number of its jobs that ran at the same moment
--   above         starts that made them more than the limit
--   median_wait   seconds from the enqueue of a file to the start of its job; worst_wait: the longest
-- A start ends with its result, or with the kill of its worker. The poison's ends at once.
-- needs: nothing: it reads everything
-- locks: nothing
with start as (
    select attempt.job_id, file.id as file_id, file.tenant, file.added_at, attempt.started_at, attempt.pid,
           row_number() over by_time as nth,
           lead(attempt.started_at) over by_time is null as last
    from pgqueue_demo.attempt
         join pgqueue_demo.file on file.id = attempt.file_id
    window by_time as (partition by file.id order by attempt.started_at)
),
span as (
    select start.tenant, start.started_at,
           coalesce(result.written_at,
                    greatest(killed.killed_at, start.started_at),
                    start.started_at) as ended_at
    from start
         left join pgqueue_demo.result on result.file_id = start.file_id and start.last
         left join pgqueue_demo.held on held.job_id = start.job_id
         left join pgqueue_demo.killed on killed.pid = start.pid and held.job_id is not null
),
step as (
    select tenant, started_at as at, 1 as change from span
    union all
    select tenant, ended_at, -1 from span
),
level as (
    select tenant, change,
           sum(change) over (partition by tenant order by at, change rows unbounded preceding) as running
    from step
),
load as (
    select tenant,
           max(running) as most_at_once,
           count(*) filter (where change = 1 and running > $1::integer) as above
    from level
    group by tenant
),
wait as (
    select tenant,
           count(*) as files,
           percentile_cont(0.5) within group (order by seconds) as median_wait,
           max(seconds) as worst_wait
    from (select tenant, extract(epoch from started_at - added_at)::float8 as seconds
          from start
          where nth = 1) as begun
    group by tenant
)
select tenant, files, most_at_once, above, median_wait, worst_wait
from wait join load using (tenant)
