-- The heartbeat of a worker: renews its lease and brings back what concerns it.
-- $1 worker id, $2 running jobs, $3 stopping, $4 pid and $5 start of its session or null,
-- $6 whether to look for lost workers, $7 for how many seconds this worker has been renewing without
-- a gap: it counts nobody's lease as run out before it has watched for as long itself, so that an
-- outage of the server is not taken for the death of all; $8 look no further back for due jobs,
-- $9 what it has in common with others that can stand in for it, $10 how many hear anything at most,
-- $11 whether to count all workers and those others, $12 whether it can take a job now.
-- Answers whether it is still registered, the jobs it is asked to cancel, the workers whose lease
-- ran out, those whose session is gone from a server that kept running, how many workers there are
-- whose heartbeat is not late (only these look for lost ones), the seconds until the next scheduled job is
-- due, the seconds until the next slot of a schedule, since when the server runs, how many of its like that
-- can take a job come before it, up to $10 (those with fewer jobs, by powers of four, and then those with
-- lower ids), how many there are of its like, the limits of its queues (see register_worker), and how many
-- seconds old its last heartbeat was: who was held up is not to judge others, who may have been held up as
-- well. For admissions: whether there are flows, and, if all workers were counted, how many slots those have
-- whose heartbeat is not late. And, with a look, how many rows of job are dead, as the statistics of the
-- server say.
-- needs: the primary keys of worker and queue, job_cancel, job_scheduled, schedule_due; a look reads worker as a whole,
-- and the list of sessions once: what IN compares with is hashed, though joins are not
-- locks: its own row
with renewed as (
    update :"schema".worker
    set heartbeat_at = clock_timestamp(),
        server_start = pg_postmaster_start_time(),
        running = $2::integer,
        stopping = $3::boolean,
        session_pid = $4::integer,
        session_start = $5::timestamptz,
        takes_jobs = $12::boolean
    where id = $1::bigint
    returning id
),
session as materialized (
    select pid, backend_start from pg_stat_activity where $6::boolean
),
shown as (
    select pid, backend_start from session where backend_start is not null
),
hidden as (  -- of sessions of strangers only the pid is shown
    select pid from session where backend_start is null
)
select exists (select from renewed) as alive,
       array(select id from :"schema".job
             where cancel_requested and worker_id = $1::bigint) as cancelled,
       array(select id from :"schema".worker
             where $6::boolean and id <> $1::bigint
               and $7::float8 > lease_seconds
               and clock_timestamp() > heartbeat_at + make_interval(secs => lease_seconds)) as expired,
       array(select id from :"schema".worker
             where $6::boolean and id <> $1::bigint
               and $7::float8 > 3
               and server_start = pg_postmaster_start_time()
               and session_pid is not null
               and (session_pid in (select pid from hidden)) is false
               and ((session_pid, session_start) in (select pid, backend_start from shown)) is false
       ) as vanished,
       counted.workers,
       (select extract(epoch from run_at - clock_timestamp())::float8
        from :"schema".job
        where position is null and run_at >= $8::timestamptz and run_at < 'infinity'
        order by run_at
        limit 1) as next_due,
       (select extract(epoch from next_at - clock_timestamp())::float8
        from :"schema".schedule
        where paused_at is null and orphaned_at is null
        order by next_at, name
        limit 1) as next_slot,
       pg_postmaster_start_time() as server,
       (select count(*)
        from (select from :"schema".worker
              where id <> $1::bigint and kind = $9::bigint and takes_jobs
                and (width_bucket(running, array[1, 4, 16, 64]), id)
                    < (width_bucket($2::integer, array[1, 4, 16, 64]), $1::bigint)
                and clock_timestamp() < heartbeat_at + make_interval(secs => lease_seconds / 2)
              limit $10::integer) as first) as before,
       counted.alike,
       (select jsonb_object_agg(queue.name, queue.settings)::text
        from :"schema".worker
             join :"schema".queue on queue.name = any (worker.queues)
        where worker.id = $1::bigint
          and coalesce(queue.settings ->> 'concurrency', queue.settings ->> 'rate') is not null) as limits,
       counted.slots,
       case when exists (select from :"schema".flow) then true
            else exists (select from :"schema".ticket) end as has_flows,
       (select extract(epoch from clock_timestamp() - heartbeat_at)::float8
        from :"schema".worker
        where id = $1::bigint) as age,
       case when $6::boolean then pg_stat_get_dead_tuples(':"schema".job'::regclass) end as dead_rows
from (select count(*) filter (
                 where clock_timestamp() < heartbeat_at + make_interval(secs => lease_seconds / 2)
             ) as workers,
             sum(concurrency) filter (
                 where clock_timestamp() < heartbeat_at + make_interval(secs => lease_seconds / 2)
             ) as slots,
             count(*) filter (where kind = $9::bigint) as alike
      from :"schema".worker
      where $11::boolean) as counted
