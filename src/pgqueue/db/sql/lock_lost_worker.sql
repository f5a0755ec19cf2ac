-- Takes a lost worker for rescue, if it is still lost and nobody else is at it.
-- $1 worker id, $2 true: its session must still be gone; false: its lease must have run out.
-- needs: the primary key of worker
-- locks: the worker's row; skips one that is taken
select id, host, pid, stopping
from :"schema".worker
where id = $1::bigint
  and case when $2::boolean
           then server_start = pg_postmaster_start_time()
                and not exists (
                    select from pg_stat_activity as session
                    where session.pid = session_pid
                      and coalesce(session.backend_start = session_start, true))
           else clock_timestamp() > heartbeat_at + make_interval(secs => lease_seconds) end
for update skip locked
