"""The job table stays small: what its size depends on, and what keeps it from being cleaned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.db.conftest import Connect
from tests.db.hands import Hands
from tests.harness.waiting import eventually

from pgqueue.db.link import Link
from pgqueue.db.store import Store
from pgqueue.db.watch import Watch
from pgqueue.worker.fleet.vacuuming import Vacuuming
from pgqueue.worker.vacuum_plan import VacuumTimings

JOBS = 3_000
SIZE = "select pg_relation_size('@.job') + pg_indexes_size('@.job')"
DEAD = "select pg_stat_get_dead_tuples('@.job'::regclass)"
VACUUMS = "select pg_stat_get_vacuum_count('@.job'::regclass)"
# So often that each round is followed by one, however few rows it leaves.
SOON = VacuumTimings(least=JOBS, rest=0.0, kept_after=0.0, kept_rest=1e-9)


@pytest.fixture
async def line(dsn: str) -> AsyncIterator[Link]:
    """The connection for upkeep."""
    line = Link(dsn, role="upkeep", watch=Watch(), deadline=60.0, pooled=False)
    yield line
    await line.close()


@pytest.fixture
async def vacuuming(hands: Hands, dsn: str, line: Link) -> AsyncIterator[Vacuuming]:
    """The duty, and no autovacuum beside it."""
    await hands.sql("alter table @.job set (autovacuum_enabled = off)")
    duties = Link(dsn, role="duties", watch=Watch(), deadline=60.0, pooled=False)
    yield Vacuuming(Store(duties, "pgqueue"), Store(line, "pgqueue"), SOON)
    await duties.close()


async def run_jobs(hands: Hands, count: int = JOBS) -> None:
    """Enqueue, claim and finish so many jobs; the server counts what they leave dead."""
    await hands.fill(count)
    claimed = await hands.claim(limit=count)
    await hands.finish(*(row["id"] for row in claimed))
    await hands.sql("select pg_stat_force_next_flush()")
    assert await hands.count("job") == 0


async def test_the_job_table_is_as_large_as_the_jobs_between_two_vacuums(
    hands: Hands, vacuuming: Vacuuming
) -> None:
    sizes: list[int] = []

    async def vacuumed() -> bool:
        # It passes by a table that somebody has locked, and a snapshot of an analysis keeps rows.
        await vacuuming.step(called=True)
        return await hands.value(DEAD) == 0

    for _ in range(9):
        await run_jobs(hands)
        sizes.append(await hands.value(SIZE))
        await eventually(vacuumed)
    assert await hands.value(VACUUMS) >= len(sizes)
    # Pages that a vacuum empties are given to new entries of an index after the next one.
    assert sizes[-1] <= 1.05 * max(sizes[:3]), sizes
    assert sizes[-1] < 2 * sizes[0], sizes


async def test_under_a_held_snapshot_nothing_is_removed_and_all_is_after_it(
    hands: Hands, more_hands: Connect, vacuuming: Vacuuming, caplog: pytest.LogCaptureFixture
) -> None:
    reader = await more_hands(worker=False)
    await reader.sql("begin isolation level repeatable read")
    await reader.sql("select count(*) from @.job")
    for _ in range(2):
        await run_jobs(hands)
        await vacuuming.step(called=True)
    assert [m for m in caplog.messages if m.startswith(f"{4 * JOBS} dead rows cannot")]
    await reader.sql("commit")
    await vacuuming.step(called=True)
    assert await hands.value(DEAD) == 0


async def test_few_dead_rows_are_left_to_autovacuum(hands: Hands, vacuuming: Vacuuming) -> None:
    await run_jobs(hands, JOBS // 2)
    await vacuuming.step(called=True)
    assert await hands.value(VACUUMS) == 0


async def test_who_stops_does_not_wait_for_a_vacuum_and_ends_it(
    hands: Hands, vacuuming: Vacuuming, line: Link
) -> None:
    await run_jobs(hands, 10 * JOBS)
    # A tenth of a second for each page: it would take minutes.
    await line.fetch("set vacuum_cost_delay = 100")
    await line.fetch("set vacuum_cost_limit = 1")
    step = asyncio.create_task(vacuuming.step(called=True))
    running = "select count(*) from pg_stat_progress_vacuum where datname = current_database()"
    await eventually(lambda: hands.value(running))
    step.cancel()
    await asyncio.wait([step], timeout=60.0)
    assert step.cancelled()

    async def ended() -> bool:
        return not await hands.value(running)

    await eventually(ended)
