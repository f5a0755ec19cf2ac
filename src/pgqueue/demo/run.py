"""A run of the demo, from an empty schema to the verdict."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pgqueue.demo.fleet import Fleet, lend_fleet
from pgqueue.demo.ground import lend_ground
from pgqueue.demo.killer import Killed, kill_one
from pgqueue.demo.names import AT_ONCE, PROCESSES, QUEUE_SCHEMA, SCHEDULE, SMALL
from pgqueue.demo.place import Place, lend_place
from pgqueue.demo.producer import CHUNK, Producer
from pgqueue.demo.progress import Look, Voice, voice
from pgqueue.demo.report import Report
from pgqueue.demo.scan import Found, scan
from pgqueue.demo.statements import sql
from pgqueue.demo.tenants import check_tenants, split
from pgqueue.demo.verdict import check_run, compare_sample
from pgqueue.errors import PgQueueError
from pgqueue.worker.signals import heard

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["Plan", "run"]

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
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
    with voice() as out, _signals_as_int():
        out.say(f"{len(found.paths)} files below {found.root}")
        if plan.dsn is None:
            out.say("starting a PostgreSQL in a temporary directory")
        with lend_place(plan.dsn, keep=plan.keep) as place:
            try:
                report = asyncio.run(_Run(plan, place, found, out).go())
            except asyncio.CancelledError:
                raise KeyboardInterrupt from None
        if plan.keep:
            out.say(f"kept; see: pgqueue --dsn '{place.name}' --schema {QUEUE_SCHEMA} status")
        return report


@contextmanager
def _signals_as_int() -> Generator[None, None, None]:
    """Let TERM and HUP end a run as Ctrl-C does, with everything cleared away."""
    found = {number: signal.getsignal(number) for number in heard(_SIGNALS)}
    before = {n: handler for n, handler in found.items() if isinstance(handler, signal.Handlers)}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Run:
    """One run, on its place."""

    def __init__(self, plan: Plan, place: Place, found: Found, out: Voice) -> None:
        self._plan = plan
        self._place = place
        self._found = found
        self._poison = found.paths[0]
        self._out = out
        self._total = len(found.paths)
        self._done = 0
        self._slot: datetime | None = None

    async def go(self) -> Report:
        """Enqueue, kill a worker half-way, wait for the end, and check."""
        task = asyncio.current_task()
        assert task is not None
        for number in _SIGNALS:
            if signal.getsignal(number) is signal.default_int_handler:
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        began = time.time()
        async with lend_ground(self._place.dsn, keep=self._plan.keep) as connection:
            killed = await self._work_in_time(connection)
            verdict = await check_run(connection)
            tenants = await check_tenants(connection)
            sample = await compare_sample(connection, began=began)
        return Report(self._found, self._poison, killed, verdict, tenants, sample)

    async def _work_in_time(self, connection: Connection) -> Killed | None:
        """Let a fleet do the work; it has stopped when this returns or raises."""
        async with lend_fleet(self._place) as fleet:
            try:
                async with asyncio.timeout(self._plan.timeout):
                    return await self._work(connection, fleet)
            except TimeoutError:
                self._tell_log()
                raise PgQueueError(
                    f"{self._done} of {self._total} files were done after "
                    f"{self._plan.timeout:g} s; --timeout gives it longer"
                ) from None

    async def _work(self, connection: Connection, fleet: Fleet) -> Killed | None:
        await self._wait_for_workers(connection, fleet)
        self._out.say(
            f"{PROCESSES} worker processes; the poison is {self._found.relative(self._poison)}"
        )
        large, small = split(self._found.paths)
        self._out.say(f"two tenants take turns; of the jobs of one, at most {AT_ONCE} run at once")
        producer = Producer(connection, large, poison=self._poison)
        other = Producer(connection, small, tenant=SMALL)
        killed = None
        if self._total > 1:
            # The rest is enqueued once a worker is to be killed: so there is work for it to hold.
            first = len(large) - max(1, min(CHUNK, len(large) * 2 // 5))
            await producer.enqueue(first)
            await self._wait(connection, fleet, other, min(self._total // 2, first - 1))
            killed = await kill_one(connection, self._place.dsn, give_work=producer.enqueue)
            self._out.say(
                f"half-way: worker {killed.pid} killed with SIGKILL; it held {killed.held} jobs "
                f"and ran {killed.running} of them"
            )
        await producer.enqueue()
        await self._wait(connection, fleet, other, None)
        return killed

    async def _wait_for_workers(self, connection: Connection, fleet: Fleet) -> None:
        while await connection.fetchval(sql("count_workers")) < PROCESSES:
            self._check(fleet)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _wait(
        self, connection: Connection, fleet: Fleet, other: Producer, enough: int | None
    ) -> None:
        """Wait until so many files are done, or until all are and the schedule has fired.

        Show how far it is, and let ``other`` enqueue a few files now and then.
        """
        while True:
            began = time.monotonic()
            await other.enqueue(other.total * self._done // self._total + 1)
            row = await connection.fetchrow(sql("measure_progress"))
            assert row is not None
            look = self._look(row, other.total)
            self._done = look.done
            self._out.show(look)
            self._tell_slot(row["slot"], row["results"])
            ended = other.enqueued == other.total and not row["busy"] and self._slot is not None
            if ended if enough is None else self._done >= enough:
                return
            self._check(fleet)
            took = time.monotonic() - began
            await asyncio.sleep(max(_LOOK_SECONDS, took * _LOOK_SHARE))

    def _look(self, row: Record, small: int) -> Look:
        return Look(
            row["large"], self._total - small, row["small"], small, row["in_line"], row["wait"]
        )

    def _tell_slot(self, slot: datetime | None, results: int) -> None:
        """Say what the schedule's newest job found, once."""
        if slot is not None and slot != self._slot:
            self._slot = slot
            at = slot.astimezone()
            self._out.say(f'{at:%H:%M:%S} schedule "{SCHEDULE}" fired: {results} results so far')

    def _check(self, fleet: Fleet) -> None:
        if not fleet.is_running:
            self._tell_log()
            raise PgQueueError("the workers ended before their work was done")

    def _tell_log(self) -> None:
        """Say what the workers said last."""
        for line in self._place.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]:
            self._out.say(f"  {line}")
