"""Many writers on few keys, with workers and an operator beside them: nobody deadlocks.

Run it by itself, and longer: ``WRITER_CALLS=1000 make test TESTS=tests/db/test_many_writers.py``.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import pytest
from tests.db.conftest import Connect
from tests.db.hands import Hands
from tests.model.ops import EVER

from pgqueue import admin

WRITERS = 20
KEYS = [f"key {n:02}" for n in range(60)]
CALLS = int(os.environ.get("WRITER_CALLS", "25"))
MODES: tuple[dict[str, Any], ...] = (
    {}, {"until": "started"}, {"for": 0.05}, {"replace": ["args"]}, {"replace": ["run_at"]},
    {"replace": ["priority"], "until": "started"}, {"wait": 0.01}, {"wait": 0.01, "max_wait": 0.02},
    {"period": 0.02},
)  # fmt: skip
LEVELS = ("read_committed", "repeatable_read", "serializable")


class Tally:
    """How often what happened. A serialization failure is the rule of the higher levels."""

    def __init__(self) -> None:
        self.calls = self.refused = 0
        self.deadlocks: list[str] = []

    def note(self, error: asyncpg.PostgresError, who: str) -> None:
        if error.sqlstate == "40P01":
            self.deadlocks.append(f"{who}: {error}")
        elif error.sqlstate == "40001":
            self.refused += 1
        else:
            raise error


async def write(
    hands: Hands, n: int, tally: Tally, level: str, modes: Sequence[dict[str, Any]]
) -> None:
    """Half of the calls are alone in a transaction of the user's, which stays open for a moment."""
    chance = random.Random(n)
    for _ in range(CALLS):
        keys = chance.sample(KEYS, chance.choice((2, 4, 12, 30)))
        jobs: list[dict[str, Any]] = [{"task": "t", "unique_key": key} for key in keys]
        for job in jobs if modes else ():
            job["unique"] = chance.choice(modes)
        try:
            if chance.random() < 0.5:
                await hands.enqueue(*jobs)
            else:
                async with hands.connection.transaction(isolation=level):  # type: ignore[arg-type]
                    await hands.enqueue(*jobs)
                    await asyncio.sleep(0)
            tally.calls += 1
        except asyncpg.PostgresError as exc:
            tally.note(exc, f"writer {n}")


async def work(hands: Hands, n: int, tally: Tally, go_on: Callable[[], bool]) -> None:
    """Claim, and end or release what was claimed, in one statement of each kind."""
    chance = random.Random(-n)
    while go_on():
        ids = sorted(row["id"] for row in await hands.claim(limit=20))
        ends = {job_id: chance.choice(("finish", "bury", "retry")) for job_id in ids}
        try:
            await hands.finish(*[i for i in ids if ends[i] == "finish"])
            await hands.bury(*[i for i in ids if ends[i] == "bury"])
            await hands.release(*[i for i in ids if ends[i] == "retry"], delay=0.0)
            await hands.run("promote_jobs", 100, EVER)
        except asyncpg.PostgresError as exc:
            tally.note(exc, f"worker {n}")
        await asyncio.sleep(0)


async def operate(hands: Hands, tally: Tally, go_on: Callable[[], bool]) -> None:
    while go_on():
        rows = await hands.sql("select id from @.jobs order by random() limit 40")
        ids = sorted(row["id"] for row in rows)
        try:
            await admin.retry(hands.connection, "pgqueue", ids)
            await admin.cancel(hands.connection, "pgqueue", ids[:10])
        except asyncpg.PostgresError as exc:
            tally.note(exc, "operator")
        await asyncio.sleep(0)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("modes", [(), MODES], ids=["one mode", "all modes"])
async def test_many_writers_of_few_keys_do_not_deadlock(
    hands: Hands, more_hands: Connect, level: str, modes: Sequence[dict[str, Any]]
) -> None:
    tally = Tally()
    writers = [await more_hands(worker=False) for _ in range(WRITERS)]
    writing = [
        asyncio.create_task(write(each, n, tally, level, modes)) for n, each in enumerate(writers)
    ]
    done = asyncio.gather(*writing)
    beside = [
        asyncio.create_task(work(hands, 1, tally, lambda: not done.done())),
        asyncio.create_task(work(await more_hands(), 2, tally, lambda: not done.done())),
        asyncio.create_task(
            operate(await more_hands(worker=False), tally, lambda: not done.done())
        ),
    ]
    await done
    await asyncio.gather(*beside)
    assert not tally.deadlocks, f"{len(tally.deadlocks)}: {tally.deadlocks[:3]}"
    assert tally.calls + tally.refused == WRITERS * CALLS
