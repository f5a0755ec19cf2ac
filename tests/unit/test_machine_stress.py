"""Each machine of a worker is started and stopped by ten tasks at once, fifty times each."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.harness.fakes import Returned, Room, Said, claimer_of
from tests.harness.stress import ROUNDS, WAVES, Subject, stress
from tests.harness.waiting import eventually
from tests.unit.test_runner import Bench

from pgqueue import App
from pgqueue.config import WorkerSettings
from pgqueue.errors import ConfigError, PgQueueError, Unreachable
from pgqueue.outcome import RELEASED
from pgqueue.worker import life as module
from pgqueue.worker.claim.promoter import Promoter
from pgqueue.worker.events import FinishEvent, QueuesReady
from pgqueue.worker.finish.completer import Completer
from pgqueue.worker.life import Life
from pgqueue.worker.receipt import Entry
from pgqueue.worker.states import State
from pgqueue.worker.timings import TIMINGS


async def turns(rng: random.Random) -> None:
    """What an answer takes: some turns of the loop, or none."""
    for _ in range(rng.randrange(3)):
        await asyncio.sleep(0)


class Due:
    """A store of the promoter: some jobs are always due, and now and then it is away."""

    def __init__(self) -> None:
        self.rng = random.Random(2)
        self.turn = asyncio.Lock()
        self.woken = 0

    async def next_due(self, since: datetime) -> tuple[float, datetime]:
        await turns(self.rng)
        if self.rng.random() < 0.2:
            raise Unreachable("away")
        return 0.0, since

    async def promote(self, most: int, since: datetime) -> list[Any]:
        await turns(self.rng)
        if self.rng.random() < 0.2:
            raise Unreachable("away")
        return [{"queue": "a", "run_at": since, "flow": None}]

    async def wake(self, queues: list[str]) -> None:
        await turns(self.rng)
        self.woken += 1


async def test_promoter(caplog: pytest.LogCaptureFixture) -> None:
    store, said = Due(), Said[QueuesReady]()
    promoter = Promoter(
        cast("Any", store),
        events=said,
        settings=WorkerSettings(),
        timings=TIMINGS.due,
    )

    async def works() -> None:
        before = len(said)
        await eventually(lambda: len(said) > before)

    await stress(lambda: Subject(start=promoter.start, stop=promoter.stop, works=works), caplog)
    assert store.woken


class Written:
    """A store of the completer, which is away now and then, and never twice in a row."""

    def __init__(self) -> None:
        self.rng = random.Random(3)
        self.ids = set[int]()
        self.was_away = False

    async def _write(self, ids: list[int]) -> list[int]:
        await turns(self.rng)
        self.was_away = not self.was_away and self.rng.random() < 0.1
        if self.was_away:
            raise Unreachable("away")
        self.ids.update(ids)
        return ids

    async def finish(self, ids: list[int], tokens: list[int], state: str) -> None:
        await self._write(ids)

    async def release(self, ids: list[int], *_: object) -> list[int]:
        return await self._write(ids)


async def test_completer(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever starts and stops it, each outcome is written, or said to be unwritten."""
    store, added = Written(), list[int]()
    completer = Completer(cast("Any", store), worker_name="w", events=Said[FinishEvent]())

    def add() -> None:
        first = len(added)
        added.extend(range(first, first + 3))
        completer.done(first, 7)
        completer.add(Entry(first + 1, 7, RELEASED))
        completer.set_aside(Entry(first + 2, 7, RELEASED), 0.0005)

    def start() -> None:
        add()
        completer.start()

    async def stop() -> None:
        await completer.stop(store.rng.choice([0.0, 0.0005]))
        held = {job_id for job_id, _ in completer.receipts()}
        assert held | store.ids == set(added)

    async def works() -> None:
        add()
        await eventually(lambda: not completer.backlog)
        assert store.ids == set(added)

    await stress(lambda: Subject(start=start, stop=stop, works=works), caplog)
    assert await completer.stop(0.0) == 0


class Table:
    """A store of the claimer that answers at once, and has one job for each claim or none."""

    def __init__(self) -> None:
        self.rng = random.Random(4)
        self.link = SimpleNamespace(listen=self._done, abort=lambda: None, cut=None)
        self.turn = asyncio.Lock()
        self.claims = 0

    async def _done(self, *_: object, **__: object) -> None:
        await turns(self.rng)

    async def claim(self, queues: list[str], *_: object, **__: object) -> tuple[Any, Any]:
        await turns(self.rng)
        self.claims += 1
        row = {"id": self.claims, "queue": queues[0], "priority": 5, "position": self.claims}
        return [row] if self.rng.random() < 0.5 else [], []

    async def raise_flags(self, queues: list[str]) -> dict[str, bool]:
        await turns(self.rng)
        return dict.fromkeys(queues, True)

    async def lower_flags(self, queues: list[str], *_: object) -> dict[str, bool]:
        await turns(self.rng)
        return dict.fromkeys(queues, True)

    async def check_ears(self, *_: object, word: bool) -> tuple[bool, bool, list[str]]:
        await turns(self.rng)
        return True, word, []

    async def newest_positions(self, queues: list[str]) -> dict[str, int]:
        await turns(self.rng)
        return {}

    async def unknown_tasks(self, *_: object) -> list[Any]:
        return []

    call = _done


@pytest.mark.parametrize("listen", [True, False])
async def test_claimer(caplog: pytest.LogCaptureFixture, listen: bool) -> None:
    """A job that is claimed is handed on, or released if that comes too late."""
    table, room, returned = Table(), Room(), Returned()
    claimer = claimer_of(table, room, returned, listen=listen)

    def seat() -> None:
        workers = table.rng.choice([1, 3])
        claimer.seating.on_heartbeat(table.rng.randrange(3), workers, running=0, takes_jobs=True)

    def start() -> None:
        claimer.start()
        seat()

    async def stop() -> None:
        seat()
        claimer.seating.on_full()
        await claimer.stop()

    async def works() -> None:
        before = len(room.jobs)

        def more() -> bool:
            claimer.on_notification("a")
            claimer.on_ready(["b"])
            return len(room.jobs) > before

        await eventually(more)
        assert not listen or claimer.seating.seat.rank is not None

    await stress(lambda: Subject(start=start, stop=stop, works=works), caplog)
    assert not set(room.jobs) & set(returned.ids)


def runner_at_work() -> Subject:
    """A runner with jobs of three kinds; a start hands it some more."""
    bench = Bench(concurrency=4)

    @bench.task
    async def at_once() -> None: ...

    @bench.task
    async def waits() -> None:
        await asyncio.sleep(0.0005)

    @bench.task
    def in_a_thread() -> None:
        threading.Event().wait(0.0005)

    def start() -> None:
        for task in (at_once, waits, in_a_thread):
            bench.add(task, 3)

    async def stop() -> None:
        await bench.runner.stop()
        assert bench.runner.running == 0

    async def works() -> None:
        assert await bench.runner.wait_quiet(60.0)
        assert len(bench.outcomes.successes) >= 9

    return Subject(start=start, stop=stop, works=works)


async def test_runner(caplog: pytest.LogCaptureFixture) -> None:
    """A runner is of one start: it begins as it is made, and after a stop nothing begins."""
    await stress(runner_at_work, caplog, waves=ROUNDS, anew=True)


class Parts:
    """The machines of one start. ``alive``: how many of them all are registered."""

    alive = starts = 0
    rng = random.Random(6)

    def __init__(self, *_: object, **__: object) -> None:
        self.completer = SimpleNamespace(start=lambda: None)
        self.heartbeat_thread = SimpleNamespace(mark_stopping=lambda: None)
        self.holdings = SimpleNamespace(close=lambda: None)

    async def register(self) -> None:
        await turns(self.rng)
        if self.rng.random() < 0.1:
            raise ConfigError("something is set wrong")
        Parts.alive += 1
        assert Parts.alive == 1, "one at a time"

    def start(self) -> None:
        Parts.starts += 1

    def statistics(self) -> None: ...

    async def close(self, *, sign_off: bool) -> None:
        await turns(self.rng)
        Parts.alive -= 1


async def test_life(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts and stops a worker: one set of machines is at work at a time, or none."""

    async def wind_down(*_: object, **__: object) -> int:
        await turns(Parts.rng)
        return 0

    async def check_schema(*_: object, **__: object) -> None:
        await turns(Parts.rng)

    monkeypatch.setattr(module, "Machines", Parts)
    monkeypatch.setattr(module, "wind_down", wind_down)
    monkeypatch.setattr(module, "check_schema", check_schema)
    app = App("postgresql://nowhere.invalid/none")
    app.task(runner_at_work)
    life = Life(app, WorkerSettings(summary_interval=0), TIMINGS)

    async def stop() -> None:
        await life.stop()

    async def works() -> None:
        if not life.state.is_running:  # that time something was set wrong
            await eventually(start_once)
        assert Parts.alive == 1

    async def start_once() -> bool:
        with contextlib.suppress(PgQueueError):
            await life.start()
        return life.state.is_running

    await stress(
        lambda: Subject(start=life.start, stop=stop, works=works, refuses=(PgQueueError,)), caplog
    )
    assert (Parts.alive, life.state.state) == (0, State.OUT)
    assert Parts.starts > WAVES / 2
