"""How often a worker sends its heartbeat, and on how many connections it waits for work."""

from __future__ import annotations

from pgqueue import App
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, working

CROWD = (
    "insert into pgqueue.worker (id, heartbeat_at, started_at, server_start, pid, concurrency,"
    " lease_seconds, host, version, queues)"
    " select n, now() + interval '1 h', now(), pg_postmaster_start_time(), 1, 100, 15,"
    " 'elsewhere', '0', '{default}' from generate_series(1, 2000) as n"
)


async def test_in_a_large_fleet_heartbeats_come_less_often(app: App, eyes: Eyes) -> None:
    """Of two thousand workers each sends four a lease, whatever it was set to."""

    @app.task
    async def nothing() -> None: ...

    await eyes.sql(CROWD)
    async with working(app, lease=6.0, heartbeat=0.3) as worker:
        lifeline = worker._lifeline
        await eventually(lambda: lifeline._workers == 2001)
        assert lifeline._every() == 1.5
        start = await eyes.value("select clock_timestamp()")
        pulses = lifeline.pulses
        await eventually(lambda: lifeline.pulses >= pulses + 3)
        beat = "select extract(epoch from heartbeat_at - $1)::float8 from pgqueue.worker"
        # The first may have been about to be sent; each is sent up to a tenth early.
        assert await eyes.value(f"{beat} where host <> 'elsewhere'", start) >= 2 * 1.5 * 0.9
