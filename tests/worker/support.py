"""A worker in this process with short intervals, and eyes on the database."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from pgqueue import App, Worker
from pgqueue.worker.seat import AWAY
from tests.harness.waiting import PATIENCE, eventually

__all__ = [
    "QUICK",
    "ROLES",
    "Eyes",
    "at_rest",
    "eyes_on",
    "has_seen_enough",
    "no_tasks_left",
    "quick",
    "working",
]

# Intervals are short. What ends something (lease, grace, deadline) is long, so that a busy machine
# ends nothing; a test that waits for such an end has a short one of its own.
QUICK: dict[str, Any] = {
    "concurrency": 10,
    "lease": 15.0,
    "heartbeat": 0.3,
    "poll_interval": 0.5,
    "grace": 20.0,
    "deadline": 8.0,
    "summary_interval": 0,
}
ROLES = ("claim", "finish", "heartbeat", "duties")


_at_work: set[Worker] = set()


def quick(**settings: Any) -> dict[str, Any]:
    return {**QUICK, **settings}


@asynccontextmanager
async def working(app: App, **settings: Any) -> AsyncIterator[Worker]:
    """A worker for the body; afterwards nothing of it may be left on the loop."""
    worker = Worker(app, **quick(**settings))
    await worker.start()
    _at_work.add(worker)
    try:
        yield worker
    finally:
        _at_work.discard(worker)
        await worker.stop()
    if not _at_work:
        await no_tasks_left()


async def at_rest(worker: Worker) -> None:
    """Wait until no look is under way, and none is left to come but for a word or the poll."""
    claimer = worker.machines.claimer

    def rests() -> bool:
        states = claimer.states.values()
        seated = not worker.settings.listen or claimer.seating.seat is not AWAY
        return (
            seated
            and not claimer.looks.store.turn.locked()
            and not any(state.hot or state.looks or state.owed for state in states)
        )

    await eventually(rests)


def has_seen_enough(worker: Worker) -> None:
    """Let it judge others at once: it need not renew for a while before."""
    worker.machines.heartbeat_thread.lease.renewing_since -= 7200.0


def _our_tasks() -> set[asyncio.Task[Any]]:
    return {t for t in asyncio.all_tasks() if t.get_name().startswith(("pgqueue", "job "))}


async def no_tasks_left() -> None:
    await eventually(lambda: not _our_tasks(), what="no task of ours is left on the loop")


class Eyes:
    """A session of the test's own: rows, states, sessions."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self.connection = connection
        self._turn = asyncio.Lock()

    async def sql(self, text: str, *args: Any) -> list[Any]:
        async with self._turn:
            return await self.connection.fetch(text, *args)

    async def value(self, text: str, *args: Any) -> Any:
        async with self._turn:
            return await self.connection.fetchval(text, *args)

    async def job(self, job_id: int) -> Any:
        """The job wherever it is, as the view shows it; None if it is nowhere."""
        rows = await self.sql("select * from pgqueue.jobs where id = $1", job_id)
        return rows[0] if rows else None

    async def live(self, job_id: int) -> Any:
        rows = await self.sql("select * from pgqueue.job where id = $1", job_id)
        return rows[0] if rows else None

    async def errors(self, job_id: int) -> list[dict[str, Any]]:
        return json.loads((await self.job(job_id))["errors"] or "[]")

    async def states(self) -> Counter[str]:
        rows = await self.sql("select state, count(*) as n from pgqueue.jobs group by state")
        return Counter({row["state"]: row["n"] for row in rows})

    async def settled(self, *, timeout_s: float = PATIENCE, **want: int) -> None:
        """Wait until the jobs of the database stand exactly so."""

        async def stand() -> bool:
            return dict(await self.states()) == want

        try:
            await eventually(stand, timeout_s=timeout_s)
        except AssertionError:
            raise AssertionError(f"wanted {want}, got {dict(await self.states())}") from None

    async def reaches(self, job_id: int, state: str, *, timeout_s: float = PATIENCE) -> Any:
        """Wait until the job is in that state; return its row."""

        async def there() -> Any:
            row = await self.job(job_id)
            return row if row is not None and row["state"] == state else None

        try:
            return await eventually(there, timeout_s=timeout_s)
        except AssertionError:
            row = await self.job(job_id)
            raise AssertionError(f"job {job_id} is not {state} but {row and dict(row)}") from None

    async def sessions(self, name: str = "pgqueue %") -> list[tuple[str, int]]:
        rows = await self.sql(
            "select application_name, pid from pg_stat_activity"
            " where datname = current_database() and application_name like $1"
            " and pid <> pg_backend_pid() order by 1, 2", name,
        )  # fmt: skip
        return [tuple(row) for row in rows]

    async def terminate(self, role: str = "%") -> int:
        """End the sessions of a role; return how many."""
        rows = await self.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name like $1"
            " and pid <> pg_backend_pid()", f"pgqueue {role}",
        )  # fmt: skip
        return len(rows)

    async def worker_ids(self) -> set[int]:
        return {row[0] for row in await self.sql("select id from pgqueue.worker")}


@asynccontextmanager
async def eyes_on(dsn: str) -> AsyncIterator[Eyes]:
    connection = await asyncpg.connect(dsn)
    try:
        yield Eyes(connection)
    finally:
        with contextlib.suppress(Exception):
            await connection.close()


class Runs:
    """What ran: one entry each time that a task begins."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.running: Counter[Any] = Counter()
        self.overlaps: list[Any] = []

    @contextlib.contextmanager
    def of(self, key: Any) -> Any:
        self.seen.append(key)
        self.running[key] += 1
        if self.running[key] > 1:
            self.overlaps.append(key)
        try:
            yield
        finally:
            self.running[key] -= 1

    def twice(self) -> list[Any]:
        return [key for key, count in Counter(self.seen).items() if count > 1]


def nth(values: list[Any], count: int) -> Callable[[], bool]:
    """True once so many values are there."""
    return lambda: len(values) >= count
