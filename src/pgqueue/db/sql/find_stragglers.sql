-- Ready jobs that the cursors of a worker have passed: committed after a later position was claimed,
-- or released at their old place. Reads only.
-- $1 queues, $2 their cursors (ten positions a queue, priority 0 first), $3 tasks, $4 floor: below it
-- nothing can be.
-- Answers the queues with the lowest such position; and once, in the row without a queue, the lowest
-- position of any live job of these tasks above the floor, the newest position handed out, the oldest
-- transaction that runs, the first that had not begun, and when the server began. The xmax of a snapshot follows
-- the newest that has ended, not the newest that has begun; its age is what lies between.
-- needs: job_ready (two probes a queue and priority)
-- locks: nothing
with served as (
    select want.queue, p.priority::smallint as priority,
           ($2::bigint[])[(want.n - 1) * 10 + p.priority + 1] as cursor
    from unnest($1::text[]) with ordinality as want (queue, n)
         cross join generate_series(0, 9) as p (priority)
),
passed as (
    select served.queue, first.position
    from served
         cross join lateral (
             select job.position
             from :"schema".job
             where job.queue = served.queue and job.priority = served.priority
               and job.position > $4::bigint and job.position <= served.cursor
               and job.worker_id is null and job.task = any ($3::text[])
             order by job.position
             limit 1
         ) as first
),
live as (
    select min(first.position) as position
    from served
         cross join lateral (
             select job.position
             from :"schema".job
             where job.queue = served.queue and job.priority = served.priority
               and job.position > $4::bigint and job.task = any ($3::text[])
             order by job.position
             limit 1
         ) as first
)
select null as queue, live.position as position,
       last_value - (not is_called)::integer as newest,
       pg_snapshot_xmin(snapshot)::text::bigint as oldest,
       pg_snapshot_xmax(snapshot)::text::bigint + age(pg_snapshot_xmax(snapshot)::xid) as following,
       pg_postmaster_start_time() as server
from live, :"schema".position_seq, pg_current_snapshot() as snapshot
union all
select queue, min(position), null, null, null, null from passed group by queue
