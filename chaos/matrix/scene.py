"""Plays one case: a victim comes to its failpoint, others take over, and the checker judges."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import psycopg

from chaos.checker import check
from chaos.conduct import WITNESSES
from chaos.history import History
from chaos.kinds import QUEUES
from chaos.matrix.actor import Actor
from chaos.matrix.cases import Case
from chaos.matrix.load import Load
from pgqueue.db.migrate import migrate

__all__ = ["Played", "play", "prepare"]

_LEASE = 2.0
_SETTINGS = {
    "queues": list(QUEUES),
    "lease": _LEASE,
    "heartbeat": 0.5,
    "poll_interval": 1.0,
    "grace": 0.5,
    "concurrency": 8,
}
_HIT_SECONDS = 90.0
_READY_SECONDS = 90.0  # several start at a time, on a machine that may be busy
_AFTER = 6.0
_LOST_CLAIM = (
    "claim_jobs.before", "claim_jobs.after", "claim.received", "find_held.after",
    "take_leave.before", "take_leave.after",
)  # fmt: skip


@dataclass(slots=True)
class Played:
    """What became of a case: ``recovery`` is how long all work took after the strike, in s."""

    hit: bool
    recovery: float = 0.0
    duplicated: int = 0
    violations: list[str] = field(default_factory=list)


async def prepare(dsn: str) -> None:
    """Make the tables and the witnesses."""
    await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(WITNESSES.read_text())
    finally:
        await connection.close()


async def play(case: Case, dsn: str, home: Path, seed: str) -> Played:
    """Play a case in a database that is prepared, unless the case is to do that."""
    scene = _Scene(case, dsn, home, random.Random(seed))
    try:
        return await scene.play()
    finally:
        for actor in scene.actors:
            actor.clear_away()
        scene.history.close()


class _Scene:
    def __init__(self, case: Case, dsn: str, home: Path, rng: random.Random) -> None:
        self.case = case
        self.dsn = dsn
        self.home = home
        self.rng = rng
        self.history = History(home, "conductor")
        self.actors: list[Actor] = []
        self.strikes = 0

    async def play(self) -> Played:
        case = self.case
        await self._note_clock()
        victim = await self._set()
        struck = await victim.hit(case.point, _HIT_SECONDS)
        if struck is None:
            return Played(False, violations=[f"never hit; exit {victim.code}: {victim.said}"])
        # A cut excuses nothing: no job is to run twice, since its worker lives.
        mark = self._strike() if case.action != "cut" else None
        if case.plan.scene == "migrator":
            if case.action == "stop":
                victim.send(signal.SIGCONT)
            await victim.ended(10.0)
            await prepare(self.dsn)
            await asyncio.to_thread(self._load)
        survivor = self._actor("worker-survivor", "worker")
        if case.action == "stop":
            await asyncio.sleep(_LEASE + self.rng.uniform(1.0, 2.0))
            victim.send(signal.SIGCONT)
        wrong: list[str] = []
        if case.action == "kill" and not await victim.ended(5.0):
            wrong.append("the victim was not killed")
        if case.plan.scene == "producer":
            await victim.ended(30.0)
        if case.plan.scene == "schedules":
            await self._catch_up()
        if mark is not None:
            self._heal(mark)
        await self._drain()
        recovery = time.monotonic() - struck
        wrong += await self._end(victim, survivor)
        verdict = await check(self.dsn, self.home, quiet=False)
        wrong += [
            f"{invariant}: {text}" for invariant, texts in verdict.samples.items() for text in texts
        ]
        return Played(True, recovery, int(verdict.figures.get("duplicated", 0)), wrong)

    # -- before the strike

    async def _set(self) -> Actor:
        """Put everybody in place, and let the victim come to its failpoint."""
        scene = self.case.plan.scene
        failpoint = self.case.failpoint(self.rng)
        if scene in ("migrator", "producer"):
            role = "producer-x" if scene == "producer" else "migrator"
            return self._actor(role, scene, failpoint)
        await asyncio.to_thread(self._load)
        if scene == "schedules":
            await asyncio.to_thread(self._with_load, Load.set_schedules)
        if scene in ("corpse", "orphans"):
            await self._leave_a_corpse(delete=scene == "orphans")
        what = "supervisor" if scene == "supervisor" else "worker"
        victim = self._actor("worker-victim", what, failpoint)
        if scene == "leave":
            await self._until(self._busy)
            victim.send(signal.SIGTERM)
        if scene == "supervisor":
            await self._until(self._busy)
            mark = self._strike()
            for child in victim.children():
                child.kill()
            self._heal(mark)
        return victim

    async def _leave_a_corpse(self, *, delete: bool) -> None:
        corpse = self._actor("worker-corpse", "worker")
        await self._until(self._busy)
        mark = self._strike()
        corpse.send(signal.SIGKILL)
        await corpse.ended(5.0)
        if delete:
            await self._value("delete from pgqueue.worker returning 1")
            # The corpse may have done it while it lived, or begun to.
            await self._value("update pgqueue.duty set due_at = now() where name = 'orphans'")
        self._heal(mark)

    def _load(self) -> None:
        self._with_load(lambda load: load.mix(self.case.plan.naps))

    def _with_load(self, do: Callable[[Load], None]) -> None:
        with Load(self.home, self.dsn) as load:
            do(load)

    def _actor(self, name: str, what: str, failpoint: str = "") -> Actor:
        config = {"dsn": self.dsn, "settings": _SETTINGS}
        actor = Actor(name, what, self.home, config, failpoint)
        self.actors.append(actor)
        return actor

    # -- after it

    async def _catch_up(self) -> None:
        """Let every schedule fire twice more, and pause them."""
        since = await self._value("select clock_timestamp()")

        async def fired() -> bool:
            query = (
                "select not exists (select from pgqueue.schedule where (select count(*)"
                f" from chaos.schedule as version where version.name = schedule.name"
                f" and version.fired_at > '{since}') < 2)"
            )
            return bool(await self._value(query))

        await self._until(fired)
        await asyncio.to_thread(self._with_load, Load.pause_schedules)

    async def _drain(self) -> None:
        async def done() -> bool:
            return not await self._value("select count(*) from pgqueue.job")

        ok = await self._until(done, self.case.plan.drain)
        left = 0 if ok else await self._value("select count(*) from pgqueue.job")
        self.history.write(f="drained", ok=ok, left=left)

    async def _end(self, victim: Actor, survivor: Actor) -> list[str]:
        """Stop who is left; return what is wrong with how they ended."""
        wrong: list[str] = []
        case = self.case
        leaves = case.plan.scene in ("leave", "producer", "migrator")
        fails = case.plan.scene == "migrator" or case.point.startswith("register_worker")
        if case.action != "kill" and not leaves and not fails and victim.code is not None:
            wrong.append(f"I22: the victim ended by itself, {victim.code}: {victim.said}")

        async def registered() -> bool:
            query = f"select count(*) from pgqueue.worker where pid = {survivor.pid}"
            return bool(await self._value(query))

        await self._until(registered)  # before that, TERM finds no handler
        for actor in (victim, survivor):
            if actor.code is None:
                if actor is not victim or case.plan.scene != "leave":
                    # Else it was told before, and may have no handler left for a second one.
                    actor.send(signal.SIGTERM)
                ok = await actor.ended(20.0)
                self.history.write(f="ended", worker=actor.name, ok=ok, code=actor.code)
        sessions = (
            "select count(*) from pg_stat_activity where application_name like 'pgqueue%'"
            " and datname = current_database()"
        )

        async def gone() -> bool:
            return not await self._value(sessions)

        await self._until(gone, 10.0)
        left = {
            "sessions": await self._value(sessions),
            "locks": await self._value(
                "select count(*) from pg_locks where locktype = 'advisory' and database ="
                " (select oid from pg_database where datname = current_database())"
            ),
            "workers": await self._value("select count(*) from pgqueue.worker"),
            "held": await self._value(
                "select count(*) from pgqueue.job where worker_id is not null"
            ),
        }
        if case.point in _LOST_CLAIM and case.action == "cut":
            # Who stops while it looks for a claim whose answer was lost stays on the list; one that
            # was received may be followed by such a one, sent on what had been cut.
            left["workers"] = 0
        self.history.write(f="left", **left)
        return wrong

    # -- tools

    def _strike(self) -> int:
        self.strikes += 1
        self.history.write(
            f="strike", n=self.strikes, name=str(self.case), label="", disruptive=_AFTER
        )
        return self.strikes

    def _heal(self, number: int) -> None:
        self.history.write(f="heal", n=number, name=str(self.case), problem="")

    async def _note_clock(self) -> None:
        offset = await asyncio.to_thread(self._offset)
        self.history.write(f="clock", offset=offset, seconds=0)

    def _offset(self) -> float:
        """The server's clock minus the monotonic one, by the quickest of some answers."""
        found: list[tuple[float, float]] = []
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for _ in range(10):
                before = time.monotonic()
                row = connection.execute(
                    "select extract(epoch from clock_timestamp())::float8"
                ).fetchone()
                after = time.monotonic()
                assert row is not None
                found.append((after - before, row[0] - (before + after) / 2))
        return min(found)[1]

    async def _busy(self) -> bool:
        return bool(
            await self._value("select count(*) from pgqueue.job where worker_id is not null")
        )

    async def _until(
        self, true: Callable[[], Awaitable[bool]], seconds: float = _READY_SECONDS
    ) -> bool:
        until = time.monotonic() + seconds
        while not await true():
            if time.monotonic() > until:
                return False
            await asyncio.sleep(0.05)
        return True

    async def _value(self, query: str) -> Any:
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()
