"""Family C, start and stop: signals, side tasks that fail, what a stop leaves to others."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pgqueue import App, Unreachable, Worker
from pgqueue.db.migrate import migrate
from pgqueue.worker.claim.claimer import Claimer
from pgqueue.worker.claim.promoter import Promoter
from pgqueue.worker.events import HeartbeatFailed
from pgqueue.worker.fleet.duties import Duties
from pgqueue.worker.fleet.heartbeat import Heartbeat
from pgqueue.worker.fleet.stragglers import Stragglers
from pgqueue.worker.fleet.watchdog import Watchdog
from pgqueue.worker.machines import Machines
from pgqueue.worker.timings import DutyTimings, Timings
from tests.harness import servers
from tests.harness.servers import own_server, with_database
from tests.harness.waiting import eventually
from tests.worker.child import EFFECT, app_of, child
from tests.worker.support import Eyes, eyes_on, nth, quick, working

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def mine(number: int, frame: object) -> None:
    """A handler that was there before."""


@pytest.fixture
def handlers() -> Iterator[Callable[[], list[Any]]]:
    before = {number: signal.signal(number, mine) for number in SIGNALS}
    yield lambda: [signal.getsignal(number) for number in SIGNALS]
    for number, handler in before.items():
        signal.signal(number, handler)


async def end_by_signal(worker: Worker, running: asyncio.Task[None]) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await running


async def end_by_request(worker: Worker, running: asyncio.Task[None]) -> None:
    worker.request_stop()
    await running


async def end_by_cancelling(worker: Worker, running: asyncio.Task[None]) -> None:
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.past_bug(56)
@pytest.mark.parametrize("end", [end_by_signal, end_by_request, end_by_cancelling])
async def test_signal_handlers_are_put_back(
    app: App,
    eyes: Eyes,
    handlers: Callable[[], list[Any]],
    end: Callable[[Worker, asyncio.Task[None]], Awaitable[None]],
) -> None:
    @app.task
    async def nothing() -> None: ...

    worker = Worker(app, **quick())
    running = asyncio.ensure_future(worker.run(signals=True))
    await eventually(eyes.worker_ids)
    await eventually(lambda: worker.is_running)
    assert mine not in handlers()
    async with asyncio.timeout(60):
        await end(worker, running)
    assert handlers() == [mine, mine]


@pytest.mark.past_bug(56)
async def test_after_a_start_that_failed(dsn: str, handlers: Callable[[], list[Any]]) -> None:
    app = App(with_database(dsn, "no_such"))

    @app.task
    async def nothing() -> None: ...

    with pytest.raises(Unreachable):
        await Worker(app, **quick()).run(signals=True)
    assert handlers() == [mine, mine]
    await app.aclose()


@pytest.mark.past_bug(57)
async def test_one_slot_and_a_restart_of_the_server() -> None:
    """Concurrency 1: the running job ends in the outage, and the worker works and stops after."""
    majors = [major for major in servers.chosen() if major is not None]
    if not majors:
        servers.missing("a server of somebody else's cannot be restarted")
    with own_server(max(majors), settings={"synchronous_commit": "on"}) as server:
        assert server.cluster is not None
        dsn = server.dsn_for(server.create())
        await migrate(dsn, "pgqueue")
        app = App(dsn)
        gate = asyncio.Event()
        ran: list[int] = []

        @app.task
        async def wait(n: int) -> None:
            ran.append(n)
            await gate.wait()

        async with working(app, concurrency=1, lease=6.0) as worker:
            await app.aenqueue_many([wait.job(n) for n in range(5)])
            await eventually(nth(ran, 1))
            await asyncio.to_thread(server.cluster.stop, "fast")
            await eventually(lambda: not worker.machines.heartbeat_thread.links.heartbeat.connected)
            gate.set()
            await asyncio.to_thread(server.cluster.start)
            async with eyes_on(dsn) as eyes:
                await eyes.settled(completed=5)
            async with asyncio.timeout(60):
                await worker.stop()
        assert ran == list(range(5))
        await app.aclose()


def failing(times: int, real: Callable[..., Any]) -> tuple[Callable[..., Any], list[int]]:
    """The method, which raises what nobody expects the first times that it is called."""
    calls: list[int] = []

    async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) <= times:
            raise KeyError("nobody expects this")
        return await real(self, *args, **kwargs)

    return method, calls


@pytest.mark.past_bug(58)
@pytest.mark.parametrize(
    ("machine", "name"),
    [
        (Claimer, "_turn"),
        (Promoter, "_promote"),
        (Stragglers, "step"),
        (Duties, "step"),
        (Watchdog, "watch_over"),
    ],
)
async def test_a_side_task_that_fails_begins_again(
    app: App, eyes: Eyes, machine: type, name: str, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    method, calls = failing(2, getattr(machine, name))
    monkeypatch.setattr(machine, name, method)
    ran: list[int] = []

    @app.task
    async def note(n: int) -> None:
        ran.append(n)

    async with working(app):
        await note.aenqueue(1)
        await note.using(delay=0.1).aenqueue(2)
        await eventually(nth(calls, 3), what="it has begun again")
        await eyes.settled(completed=2)
    assert "nobody expects this" in caplog.text


@pytest.mark.past_bug(58, 59)
@pytest.mark.parametrize("name", ["beat", "send_once"])
async def test_without_a_heartbeat_the_worker_ends_with_its_error(
    app: App, eyes: Eyes, name: str, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    method, _ = failing(1_000, getattr(Heartbeat, name))
    monkeypatch.setattr(Heartbeat, name, method)

    @app.task
    async def nothing() -> None: ...

    with pytest.raises(KeyError, match="nobody expects this"):
        async with asyncio.timeout(60):
            await Worker(app, **quick()).run()
    assert "the heartbeat thread failed" in caplog.text


@pytest.mark.past_bug(59)
@pytest.mark.usefixtures("dsn")
async def test_a_heartbeat_that_fails_while_the_worker_starts(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no stop that somebody asked for."""

    @app.task
    async def nothing() -> None: ...

    async def register(self: Machines) -> None:
        self.send(HeartbeatFailed(KeyError("nobody expects this")))
        await asyncio.sleep(60)

    monkeypatch.setattr(Machines, "register", register)
    worker = Worker(app, **quick())
    with pytest.raises(KeyError, match="nobody expects this"):
        await worker.run()


CRASHING = """
import pgqueue
from pgqueue.worker.fleet.heartbeat import Heartbeat

app = pgqueue.App()

@app.task
async def nothing() -> None: ...

async def send_once(self):
    raise KeyError("nobody expects this")

Heartbeat.send_once = send_once
"""


@pytest.mark.past_bug(59)
def test_the_command_line_ends_with_a_code(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(CRASHING)
    done = subprocess.run(
        [sys.executable, "-c", "from pgqueue.cli import main; main()", "worker", "jobs:app"],
        cwd=tmp_path,
        env={**os.environ, "PGQUEUE_DSN": dsn},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert "nobody expects this" in done.stderr


@pytest.mark.past_bug(60)
async def test_interrupted_is_neither_a_success_nor_a_failure(dsn: str, eyes: Eyes) -> None:
    await eyes.sql(EFFECT)
    app = app_of(dsn)
    with child(dsn, grace=0.2) as victim:
        await victim.ready(eyes)
        job_id = (await app.tasks.get("nap").aenqueue(30.0)).id
        await eventually(lambda: eyes.value("select count(*) from effect where what = 'began'"))
        victim.send(signal.SIGTERM)
        code = await asyncio.to_thread(victim.wait, 20)
    row = await eyes.job(job_id)
    assert (code, row["state"], row["attempt"], row["errors"]) == (0, "pending", 0, None)
    assert await eyes.value("select count(*) from effect where what = 'cancelled'") == 1
    await app.aclose()


@pytest.mark.past_bug(61)
async def test_a_worker_that_drains_holds_no_duty_back(dsn: str, eyes: Eyes) -> None:
    """No worker leads: while one drains, another does what the fleet needs done."""
    often = Timings(duties=DutyTimings(check_every=0.1))
    old, new = App(dsn), App(dsn)
    gate = asyncio.Event()
    started: list[int] = []

    @old.task
    async def wait() -> None:
        started.append(1)
        await gate.wait()

    @new.task(queue="other")
    async def later() -> None: ...

    due = (
        "select count(*) = 0 from pgqueue.duty where due_at < now()"
        " and name not in ('depth', 'vacuum')"
    )
    async with working(old, grace=20.0, timings=often) as leaving, working(new, timings=often):
        await wait.aenqueue()
        await eventually(nth(started, 1))
        stopping = asyncio.ensure_future(leaving.stop())
        await eventually(lambda: eyes.value("select bool_or(stopping) from pgqueue.worker"))
        # The one that drains does none from here on.
        leaving.machines.heartbeat_thread.links.duties.fetch = _never  # type: ignore[method-assign]
        for _ in range(3):
            await eyes.sql("update pgqueue.duty set due_at = now() - interval '1 s'")
            await eventually(lambda: eyes.value(due), what="another did the duties")
        job_id = (await later.using(delay=0.3).aenqueue()).id
        await eyes.reaches(job_id, "completed")
        assert not stopping.done()
        gate.set()
        async with asyncio.timeout(60):
            await stopping
    await old.aclose()
    await new.aclose()


async def _never(*args: Any, **kwargs: Any) -> Any:
    await asyncio.Event().wait()
