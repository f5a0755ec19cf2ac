-- Takes lost workers for rescue: those that are still lost, and that nobody else is at.
-- $1 worker ids, $2 true: their sessions must still be gone; false: their leases must have run out.
-- needs: the primary key of worker
-- locks: the workers' rows in the order of id; skips those that are taken
select id, host, pid, stopping
from :"schema".worker
where id = any ($1::bigint[])
  and case when $2::boolean
           then server_start = pg_postmaster_start_time()
                and ((session_pid, session_start)
                     in (select pid, backend_start from pg_stat_activity)) is false
           else clock_timestamp() > heartbeat_at + make_interval(secs => lease_seconds) end
order by id
for update skip locked
