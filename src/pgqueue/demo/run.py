"""A run of the demo, from an empty schema to the verdict."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pgqueue.demo.fleet import Fleet, lend_fleet
from pgqueue.demo.ground import lend_ground
from pgqueue.demo.killer import Killed, kill_one
from pgqueue.demo.names import PROCESSES, QUEUE_SCHEMA
from pgqueue.demo.place import Place, lend_place
from pgqueue.demo.producer import CHUNK, Producer
from pgqueue.demo.progress import Voice, voice
from pgqueue.demo.report import Report
from pgqueue.demo.scan import Found, scan
from pgqueue.demo.statements import sql
from pgqueue.demo.verdict import check_run, compare_sample
from pgqueue.errors import PgQueueError

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["Plan", "run"]

_LOOK_SECONDS = 0.05
_LOOK_SHARE = 5
_LOG_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run on. ``path``: None for the standard library. ``dsn``: None for an embedded
    server. ``max_files``: take no more. ``keep``: leave the rows. ``timeout``: seconds."""

    path: Path | None = None
    dsn: str | None = None
    max_files: int | None = None
    keep: bool = False
    timeout: float = 300.0


def run(plan: Plan) -> Report:
    """Run the demo; raises PgQueueError if it cannot, KeyboardInterrupt for INT and TERM."""
    found = scan(plan.path, limit=plan.max_files)
    if not found.paths:
        raise PgQueueError(f"there are no files below {found.root}")
    with voice() as out, _term_as_int():
        where = "your server" if plan.dsn else "an embedded PostgreSQL in a temporary directory"
        out.say(f"{len(found.paths)} files below {found.root}; starting {where}" if not plan.dsn
                else f"{len(found.paths)} files below {found.root}, on {where}")  # fmt: skip
        with lend_place(plan.dsn, keep=plan.keep) as place:
            report = asyncio.run(_Run(plan, place, found, out).go())
            if plan.keep:
                out.say(
                    f"kept; look with: pgqueue --dsn '{place.name}' --schema {QUEUE_SCHEMA} status"
                )
            return report


@contextmanager
def _term_as_int() -> Generator[None, None, None]:
    """Let TERM end a run as Ctrl-C does: with everything cleared away."""
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Run:
    """One run, on its place."""

    def __init__(self, plan: Plan, place: Place, found: Found, out: Voice) -> None:
        self._plan = plan
        self._place = place
        self._found = found
        self._out = out
        self._total = len(found.paths)
        self._written = 0

    async def go(self) -> Report:
        """Enqueue, kill a worker half-way, wait for the end, and check."""
        began = time.time()
        poison = self._found.paths[0]
        async with lend_ground(self._place.dsn, keep=self._plan.keep) as connection:
            try:
                async with asyncio.timeout(self._plan.timeout), lend_fleet(self._place) as fleet:
                    killed = await self._work(connection, fleet, poison)
            except TimeoutError:
                self._tell_log()
                raise PgQueueError(
                    f"{self._written} of {self._total} files were done after "
                    f"{self._plan.timeout:g} s; --timeout gives it longer"
                ) from None
            return Report(
                self._found,
                poison,
                killed,
                await check_run(connection),
                await compare_sample(connection, began=began),
            )

    async def _work(self, connection: Connection, fleet: Fleet, poison: str) -> Killed | None:
        await self._wait_for_workers(connection, fleet)
        self._out.say(f"{PROCESSES} worker processes; the poison is {poison}")
        producer = Producer(connection, self._found.paths, poison=poison)
        killed = None
        if self._total > 1:
            first = self._total - max(1, self._total * 2 // 5)
            await producer.enqueue(first)
            await self._wait(connection, fleet, half := min(self._total // 2, first - 1))
            killed = await kill_one(
                connection, self._place.dsn, give_work=lambda: producer.enqueue(first + CHUNK)
            )
            self._out.say(
                f"{half} files done: killed worker {killed.pid} with SIGKILL; it held "
                f"{killed.held} jobs, {killed.running} of them running"
            )
        await producer.enqueue()
        await self._wait(connection, fleet, None)
        return killed

    async def _wait_for_workers(self, connection: Connection, fleet: Fleet) -> None:
        while await connection.fetchval(sql("count_workers")) < PROCESSES:
            self._check(fleet)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _wait(self, connection: Connection, fleet: Fleet, written: int | None) -> None:
        """Wait for so many results, or for the last job's end; show how far it is."""
        while True:
            began = time.monotonic()
            row = await connection.fetchrow(sql("measure_progress"))
            assert row is not None
            self._written = row["written"]
            self._out.show(self._written, self._total)
            if not row["busy"] if written is None else self._written >= written:
                return
            self._check(fleet)
            took = time.monotonic() - began
            await asyncio.sleep(max(_LOOK_SECONDS, took * _LOOK_SHARE))

    def _check(self, fleet: Fleet) -> None:
        if not fleet.is_running:
            self._tell_log()
            raise PgQueueError("the workers ended before their work was done")

    def _tell_log(self) -> None:
        """Say what the workers said last."""
        for line in self._place.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]:
            self._out.say(f"  {line}")
