"""Runs the workload and the faults of a plan against it, lets it drain, and stops all."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import asyncpg

from chaos.arena import Arena, Fault, WorkerProcess
from chaos.arenas.ground import Ground
from chaos.ask import LEFT, ask, sessions_gone
from chaos.clock import clock_offset
from chaos.control import Control, Word
from chaos.faults.cutting import CuttingProxy
from chaos.faults.fault import DRIVER_ERRORS
from chaos.history import History
from chaos.kinds import GHOST
from chaos.plan import Step
from chaos.processes import Programs, make_workers
from chaos.setup import Setup
from pgqueue.db.migrate import migrate

__all__ = ["WITNESSES", "Conductor"]

WITNESSES = Path(__file__).with_name("witnesses.sql")
_SAMPLE = 0.25
_STARVED = 1.0
_MOST_AT_ONCE = 5


class Conductor:
    """One run: ``await run(plan)``, and then the database and ``home`` are the checker's."""

    def __init__(
        self,
        setup: Setup,
        *,
        ground: Ground,
        dsn: str,
        home: Path,
        catalogue: Mapping[str, Callable[[], Fault]],
        say: Callable[[str], None] = lambda text: print(text, flush=True),
    ) -> None:
        setup = dataclasses.replace(
            setup, settings={**ground.settings, **setup.settings}, env=ground.env
        )
        self.setup = setup
        self.dsn = dsn
        self.home = home
        self._ground = ground
        self._catalogue = catalogue
        self._say = say
        self._history = History(home, "conductor")
        self._control = Control(home / "control")
        self._word = Word()
        self._programs = Programs(setup, home)
        self._strikes: set[asyncio.Task[None]] = set()
        self._striking: set[str] = set()
        self._calms: set[asyncio.Task[None]] = set()
        self._workers: list[WorkerProcess] = []
        self._last = (0, 0)
        self._sampled_at = 0.0
        self.strikes = 0
        self.drained = False

    async def run(self, plan: Sequence[Step]) -> None:
        """Run the workload, with the faults of the plan, to its end."""
        assert self._ground.server.cluster is not None
        await self._prepare()
        behind = await asyncio.to_thread(self._ground.behind, self.dsn)
        proxy = await asyncio.to_thread(CuttingProxy, behind)
        through = self._ground.through(proxy)
        arena: Arena | None = None
        try:
            self._workers = make_workers(self.setup, self.home, through)
            arena = Arena(
                cluster=self._ground.server.cluster,
                dsn=self.dsn,
                proxy=proxy,
                workers=[w for w in self._workers if w.name != "ordered"],
                rng=random.Random(self.setup.seed),
                history=self._history,
            )
            arena.worker_dsn = through
            await self._conduct(arena, plan)
        finally:
            await self._end(proxy)

    # -- before

    async def _prepare(self) -> None:
        await migrate(self.dsn, "pgqueue")
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(WITNESSES.read_text())
            # One clock for all: the monotonic time is the server's minus this.
            offset = await clock_offset(connection)
        finally:
            await connection.close()
        await self._ground.prepare(self.dsn)
        self._history.write(f="clock", offset=offset, seconds=self.setup.seconds)

    # -- the run

    async def _conduct(self, arena: Arena, plan: Sequence[Step]) -> None:
        for worker in self._workers:
            worker.start()
        self._programs.start(arena.worker_dsn)
        await self._until_workers()
        watching = [
            asyncio.create_task(self._throttle()),
            asyncio.create_task(self._watch_clock()),
        ]
        try:
            await self._strike_all(arena, plan)
            self._history.write(f="settle")
            await asyncio.sleep(self.setup.settle)
            self._word.stop = True
            self._control.say(self._word)
            self._history.write(f="drain")
            await self._until_drained()
            await self._stop_programs()
            await self._look(arena)
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    async def _until_workers(self) -> None:
        wanted = sum(worker.config["processes"] for worker in self._workers)
        deadline = time.monotonic() + 60.0
        while (await ask(self.dsn, "select count(*) from pgqueue.worker") or 0) < wanted:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the workers do not start; see {self.home}")
            await asyncio.sleep(0.05)

    async def _strike_all(self, arena: Arena, plan: Sequence[Step]) -> None:
        began = time.monotonic()
        self._history.write(f="begin")
        for step in plan:
            await asyncio.sleep(max(0.0, began + step.at - time.monotonic()))
            if self._is_over(began):
                break
            if not step.faults:
                calm = asyncio.create_task(self._be_calm())
                self._calms.add(calm)
                calm.add_done_callback(self._calms.discard)
            for name in step.faults:
                self._strike(arena, name)
        while not self._is_over(began):
            await asyncio.sleep(0.1)
        if waiting := self._strikes | self._calms:
            await asyncio.wait(waiting)
        for worker in self._workers:
            worker.start()  # a fault may have failed half-way
        await asyncio.to_thread(arena.proxy.heal)
        pids = [pid for worker in self._workers for pid in worker.pids()]
        self._history.write(f="healed", pids=pids)

    def _is_over(self, began: float) -> bool:
        jobs = self.setup.jobs
        enough = jobs is not None and self._last[1] >= jobs
        return enough or time.monotonic() >= began + self.setup.seconds

    def _strike(self, arena: Arena, name: str) -> None:
        if name in self._striking or len(self._strikes) >= _MOST_AT_ONCE:
            self._history.write(f="passed over", name=name)
            return
        task = asyncio.create_task(self._strike_one(arena, name))
        self._strikes.add(task)
        self._striking.add(name)
        task.add_done_callback(self._strikes.discard)

    async def _strike_one(self, arena: Arena, name: str) -> None:
        fault = self._catalogue[name]()
        self.strikes += 1
        number = self.strikes
        self._history.write(
            f="strike",
            n=number,
            name=name,
            label=fault.label,
            disruptive=fault.disruptive,
            forgetful=name in self._ground.forgetful,
        )
        problem = ""
        try:
            await fault.strike(arena)
        except Exception as exc:
            # Another fault may have taken away what this one needs.
            problem = f"{type(exc).__name__}: {exc}"[:200]
        finally:
            self._striking.discard(name)
        self._history.write(f="heal", n=number, name=name, problem=problem, victims=fault.victims)

    # -- meanwhile

    async def _throttle(self) -> None:
        """Tell the producers how many more jobs may wait."""
        connection: asyncpg.Connection | None = None
        told_at = time.monotonic()
        while True:
            try:
                if connection is None or connection.is_closed():
                    connection = await asyncpg.connect(self.dsn, timeout=5.0)
                waiting, jobs = await connection.fetchrow(
                    "select (select count(*) from pgqueue.job),"
                    " coalesce((select last_value from pgqueue.job_id_seq), 0)",
                    timeout=5.0,
                )  # type: ignore[misc]
                self._last = waiting, jobs
                self._word.room = self.setup.backlog - waiting
            except (OSError, TimeoutError, *DRIVER_ERRORS):
                if connection is not None:
                    connection.terminate()
                connection = None
            self._control.say(self._word)
            if time.monotonic() > told_at + 30.0:
                told_at = time.monotonic()
                self._say(f"  {self._last[1]} jobs, {self._last[0]} live, {self.strikes} faults")
            await asyncio.sleep(_SAMPLE)

    async def _be_calm(self) -> None:
        """Let the queue run empty, and keep it so: an enqueue then has to wake a worker."""
        self._word.calm = True
        self._control.say(self._word)
        until = time.monotonic() + 3.0
        while self._last[0] > 100 and time.monotonic() < until:
            await asyncio.sleep(0.1)
        self._history.write(f="calm", on=True)
        await asyncio.sleep(self.setup.calm_seconds)
        self._history.write(f="calm", on=False)
        self._word.calm = False
        self._control.say(self._word)

    async def _watch_clock(self) -> None:
        """Note when this machine was too busy to keep time: no process was served then."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.1)
            late = time.monotonic() - before - 0.1
            if late > _STARVED:
                self._history.write(f="starved", seconds=round(late, 2))

    # -- after

    async def _until_drained(self) -> None:
        """Wait until nothing is left but what nobody can run."""
        began = time.monotonic()
        query = f"select count(*) from pgqueue.job where task <> '{GHOST}'"
        left: int | None = None
        while time.monotonic() < began + self.setup.drain:
            all_made = self._programs.ended(but="canceller")  # asked first: none comes after
            left = await ask(self.dsn, query)
            self._word.over = all_made and left == 0
            self._control.say(self._word)
            if self._word.over and self._programs.ended():
                self.drained = True
                break
            await asyncio.sleep(0.1)
        self._history.write(
            f="drained", ok=self.drained, left=left, seconds=round(time.monotonic() - began, 2)
        )

    async def _stop_programs(self) -> None:
        stuck, failed = await asyncio.to_thread(self._programs.stop)
        for name in stuck:
            self._history.write(f="stuck program", name=name)
        for name, code in failed.items():
            self._history.write(f="program", name=name, code=code)

    async def _look(self, arena: Arena) -> None:
        """Count what idle workers hold; stop them, and see that nothing of theirs is left."""
        for pid in (pid for worker in self._workers for pid in worker.pids()):
            self._history.write(f="living", pid=pid)
        before = (await arena.sql("select clock_timestamp()"))[0][0]
        await asyncio.sleep(self.setup.look)  # the vitals of a process without work, twice
        # A short transaction of a heartbeat may be there; one that is older than the look is left.
        rows = await arena.sql(
            "select count(*) filter (where application_name like 'pgqueue%') as sessions,"
            " count(*) filter (where state like 'idle in transaction%' and xact_start < $1) as open"
            " from pg_stat_activity where datname = current_database()",
            before,
        )
        self._history.write(f="sessions", ours=rows[0]["sessions"], open=rows[0]["open"])
        for worker in self._workers:
            worker.kill(signal.SIGTERM)
        for worker in self._workers:
            ended = await worker.ended(40.0)
            self._history.write(f="ended", worker=worker.name, ok=ended, code=worker.returncode)
        await sessions_gone(self.dsn, 0.5 if self._ground.pooled else 60.0)
        left = dict((await arena.sql(LEFT))[0])
        if self._ground.pooled:
            left["sessions"] = 0  # those that are there are the pooler's to keep
        self._history.write(f="left", **left)

    async def _end(self, proxy: CuttingProxy) -> None:
        """Leave no process behind."""
        self._word.stop = True
        self._control.say(self._word)
        for task in self._strikes | self._calms:
            task.cancel()
        await asyncio.to_thread(self._programs.kill)
        for worker in self._workers:
            for pid in worker.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            worker.kill(signal.SIGKILL)
            await worker.ended()
        await asyncio.to_thread(proxy.close)
