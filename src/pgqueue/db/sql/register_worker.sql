-- Enters a worker, and its queues where they are new.
-- $1 id, $2 lease in seconds, $3 pid, $4 host, $5 version, $6 queues, $7 concurrency, $8 supervisor or
-- null, $9 pid and $10 start of the session that lives as long as the worker is connected; null
-- through a pooler, $11 what it has in common with workers that can stand in for it, $12 the tasks
-- that it knows, which none is who does not say, $13 the schedules that its code declares.
-- Answers the limits of its queues: an object of settings by queue, or null if none has any.
-- needs: the primary keys of worker, queue and turn
-- locks: rows of queue and turn in the order of name
with queues as (
    insert into :"schema".queue (name)
    select name from unnest($6::text[]) as name order by name
    on conflict (name) do nothing
),
turns as (
    insert into :"schema".turn (queue)
    select name from unnest($6::text[]) as name order by name
    on conflict (queue) do nothing
)
insert into :"schema".worker
    (id, heartbeat_at, started_at, server_start, lease_seconds, pid, host, version, queues,
     concurrency, supervisor, session_pid, session_start, kind, tasks, schedules, knows_flows)
values
    ($1::bigint, clock_timestamp(), clock_timestamp(), pg_postmaster_start_time(), $2::real,
     $3::integer, $4::text, $5::text, $6::text[], $7::integer, $8::bigint, $9::integer,
     $10::timestamptz, $11::bigint, $12::text[], $13::text[], true)
returning (select jsonb_object_agg(limited.name, limited.settings)::text
           from :"schema".queue as limited
           where limited.name = any ($6::text[])
             and coalesce(limited.settings ->> 'concurrency', limited.settings ->> 'rate') is not null
          ) as limits
