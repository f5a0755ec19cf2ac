"""A small arena for single faults: two workers, a proxy, a trickle of jobs, and eyes on it all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from chaos.arena import Arena, Fault, WorkerProcess
from chaos.arenas import Ground
from chaos.conduct import WITNESSES
from chaos.faults.cutting import CuttingProxy
from chaos.faults.fault import DRIVER_ERRORS, Impossible, Missed
from chaos.history import History
from tests.harness.servers import Server, missing, run_apart
from tests.harness.waiting import eventually, wait_until

from chaos.faults import ALL
from pgqueue import Client
from pgqueue.db.migrate import migrate
from pgqueue.errors import PgQueueError

__all__ = ["SETTINGS", "Shortest", "SmallArena", "small_arena"]

SETTINGS = {"synchronous_commit": "on", "max_connections": "60"}
_WORKER = {
    "queues": ["main", "side"],
    "lease": 3.0,
    "heartbeat": 0.5,
    "poll_interval": 1.0,
    "grace": 3.0,
    "concurrency": 20,
}


class Shortest(random.Random):
    """Draws the shortest times, so that a test of a fault takes no longer than it must."""

    def uniform(self, a: float, b: float) -> float:
        return min(a, b)


class SmallArena(Arena):
    """An arena that keeps what faults log."""

    def __init__(self, *, server: Server, **parts: Any) -> None:
        super().__init__(rng=Shortest(1), **parts)
        self.server = server
        self.events: list[dict[str, Any]] = []

    def log(self, event: str, **fields: Any) -> None:
        self.events.append({"event": event, **fields})

    def last(self, event: str) -> dict[str, Any]:
        """What was logged last under that name."""
        return next(entry for entry in reversed(self.events) if entry["event"] == event)

    async def value(self, text: str, *args: Any) -> Any:
        return (await self.sql(text, *args))[0][0]

    async def answers(self, text: str, *args: Any) -> Any:
        """The same, or None when the server cannot be asked."""
        with contextlib.suppress(OSError, TimeoutError, *DRIVER_ERRORS):
            return await self.value(text, *args)
        return None

    async def backends(self, like: str = "pgqueue %") -> dict[int, str]:
        """pid -> role of the sessions of workers and producers."""
        rows = await self.sql(
            "select pid, application_name from pg_stat_activity where"
            " datname = current_database() and application_name like $1",
            like,
        )
        return {row[0]: row[1].removeprefix("pgqueue ") for row in rows}

    def pids(self) -> set[int]:
        return {pid for worker in self.workers for pid in worker.pids()}

    @contextlib.asynccontextmanager
    async def visitor(self, name: str = "visitor") -> AsyncGenerator[Any, None]:
        """A session of our own through the proxy."""
        connection = await asyncpg.connect(
            self.worker_dsn, timeout=60.0, server_settings={"application_name": name}
        )
        try:
            yield connection
        finally:
            connection.terminate()

    async def watch(
        self, fault: Fault, seen: Callable[[], Awaitable[Any]], *, tries: int = 1
    ) -> Any:
        """Let the fault strike; return what ``seen`` answered when it first was true meanwhile."""

        async def not_yet() -> bool:
            return not await seen()

        self.events.clear()
        await eventually(not_yet, what="nothing is amiss before the fault")
        while True:
            tries -= 1
            striking = asyncio.create_task(fault.strike(self))
            found: Any = None
            try:
                while not found and not striking.done():
                    found = await seen()
                    await asyncio.sleep(0.01)
                await striking
            except Missed:
                if tries:
                    continue
                raise
            except Impossible as exc:
                if os.geteuid() != 0:
                    pytest.skip(str(exc))
                missing(str(exc))
            finally:
                # It heals before the arena is taken down, also when the probe failed.
                await asyncio.wait([striking])
            found = found or await seen()
            assert found, f"{fault} came and went, and nobody noticed: {self.events}"
            return found

    async def strike(self, name: str, seen: Callable[[], Awaitable[Any]], *, tries: int = 1) -> Any:
        """``watch`` the fault of that name."""
        return await self.watch(ALL[name](), seen, tries=tries)

    async def is_well(self) -> None:
        """Wait until all workers are there and a job that is enqueued now is run."""

        async def there() -> bool:
            query = (
                "select array_agg(pid) from pgqueue.worker where not stopping or"
                " heartbeat_at < clock_timestamp() - interval '2 s'"
            )
            return set(await self.answers(query) or ()) == self.pids()

        await eventually(there, what="all workers renew their leases")
        job = await self.value(
            'select id from pgqueue.enqueue(\'[{"task": "noop", "queue": "main",'
            ' "args": {"k": 0}}]\'::jsonb)'
        )
        done = "select state = 'completed' from pgqueue.jobs where id = $1"
        try:
            await eventually(lambda: self.value(done, job), what="a new job is run")
        except AssertionError as exc:
            raise AssertionError(f"{exc}; {await self._scene(job)}") from None

    async def _scene(self, job: int) -> str:
        """What a job that is not run looks like, and what everybody does meanwhile."""
        rows = await self.sql("select * from pgqueue.jobs where id = $1", job)
        rows += await self.sql("select queue, state, count(*) from pgqueue.jobs group by 1, 2")
        rows += await self.sql("select * from pgqueue.queue")
        rows += await self.sql(
            "select application_name, state, wait_event, left(query, 60), now() - state_change"
            " from pg_stat_activity where backend_type in ('client backend', 'walsender')"
        )
        return "\n".join(map(str, rows))


class _Trickle:
    """Enqueues a few jobs each second through the proxy, whatever happens."""

    def __init__(self, dsn: str, *, pgbouncer: bool) -> None:
        self._client = Client(dsn, pool_size=1, pgbouncer=pgbouncer)
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trickle")
        self._thread.start()

    def _run(self) -> None:
        turn = 0
        while not self._halt.wait(0.03):
            turn += 1
            with contextlib.suppress(PgQueueError):
                match turn % 3:
                    case 0:
                        self._client.enqueue("effect", {"k": turn, "pause": 0.05}, queue="main")
                    case 1:
                        self._client.enqueue("nap", {"k": turn, "seconds": 0.5}, queue="side")
                    case _:
                        jobs = [self._client.job("noop", {"k": turn}, queue="main")] * 5
                        self._client.enqueue_many(jobs)
        self._client.close()

    def close(self) -> None:
        self._halt.set()
        self._thread.join()


@contextlib.contextmanager
def small_arena(ground: Ground, home: Path) -> Generator[SmallArena]:
    """Run two workers of one process each, with jobs to do, on a database of their own."""
    server = ground.server
    assert server.cluster is not None
    dsn = server.dsn_for(server.create())

    async def prepare() -> None:
        await migrate(dsn)
        connection = await asyncpg.connect(dsn)
        await connection.execute(WITNESSES.read_text())
        await connection.close()
        await ground.prepare(dsn)

    run_apart(prepare())
    # One thing at a time: whatever fails to end must not keep the others from it.
    with contextlib.ExitStack() as stack:
        proxy = CuttingProxy(ground.behind(dsn))
        stack.callback(proxy.close)
        through = ground.through(proxy)
        settings = {**_WORKER, **ground.settings}
        config = {"dsn": through, "home": str(home), "processes": 1, "settings": settings}
        workers = [
            WorkerProcess(f"worker-{n}", home, {**config, "role": f"worker-{n}"}) for n in range(2)
        ]
        history = History(home, "conductor")
        stack.callback(history.close)
        for worker in workers:
            worker.env.update(ground.env)
            stack.callback(_stop, worker)
            worker.start()
        arena = SmallArena(
            server=server,
            cluster=server.cluster,
            dsn=dsn,
            proxy=proxy,
            workers=workers,
            history=history,
        )
        arena.worker_dsn = through
        trickle = _Trickle(through, pgbouncer="CHAOS_PGBOUNCER" in ground.env)
        stack.callback(trickle.close)
        yield arena


def _stop(worker: WorkerProcess) -> None:
    children = worker.pids()
    worker.kill()
    wait_until(lambda: not worker.alive)
    _end(children)


def _end(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
