"""What was committed behind a cursor is found by looking back, also where that look is put off."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from pgqueue import App
from pgqueue.db.store import Store
from pgqueue.worker.timings import PlanTimings, Timings
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, at_rest, working

pytestmark = [pytest.mark.one_pg, pytest.mark.one_turn]

# A look back soon after the last one is put off. It reaches back for as long as a slow machine
# takes.
LOOKS: dict[str, Any] = {
    "poll_interval": 600.0,
    "timings": Timings(plan=PlanTimings(lag_spacing=0.4, far=600.0, memory=601.0)),
}


@pytest.fixture(autouse=True)
def looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else finds what was passed."""

    async def nothing(*_: Any) -> list[Any]:
        return []

    monkeypatch.setattr(Store, "find_stragglers", nothing)


async def test_a_look_back_that_was_put_off_is_made(app: App, dsn: str, eyes: Eyes) -> None:
    @app.task
    async def note() -> None: ...

    late = await asyncpg.connect(dsn)
    async with working(app, **LOOKS) as worker:
        await at_rest(worker)
        transaction = late.transaction()
        await transaction.start()
        passed = await note.using(connection=late).aenqueue()
        first = await note.aenqueue()
        await eyes.reaches(first.id, "completed")
        await at_rest(worker)  # the look back after that was a moment ago
        await transaction.commit()
        await eyes.reaches(passed.id, "completed")
    await late.close()


async def test_it_is_made_beside_a_queue_that_is_full(app: App, dsn: str, eyes: Eyes) -> None:
    @app.task
    async def note() -> None: ...

    @app.task(queue="full")
    async def fill() -> None:
        await asyncio.sleep(0.001)

    late = await asyncpg.connect(dsn)
    async with working(app, **LOOKS) as worker:
        await at_rest(worker)
        await app.aenqueue_many([fill.job() for _ in range(20_000)])
        await eventually(lambda: worker.machines.claimer.states["full"].full_since is not None)
        transaction = late.transaction()
        await transaction.start()
        passed = await note.using(connection=late).aenqueue()
        first = await note.aenqueue()
        await eyes.reaches(first.id, "completed")
        await transaction.commit()
        await eyes.reaches(passed.id, "completed")
        assert await eyes.value("select count(*) from pgqueue.job where attempt = 0") > 1000
    await late.close()
