-- Registered workers, longest running first. Ages by the database's clock.
-- needs: nothing: the table is small
-- locks: nothing
select id, host, pid, started_at,
       extract(epoch from greatest(clock_timestamp() - heartbeat_at, '0'))::float8 as heartbeat_age,
       lease_seconds, running, concurrency, queues, stopping, version, allowed_slots
from :"schema".worker
order by started_at, id
