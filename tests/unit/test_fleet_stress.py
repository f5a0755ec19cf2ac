"""What runs beside a worker's loop is started and stopped by ten tasks at once, in any order."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.harness.fakes import FakeStore, Said, view
from tests.harness.stress import ROUNDS, Subject, stress
from tests.harness.waiting import eventually

from pgqueue.config import WorkerSettings
from pgqueue.db.watch import Watch
from pgqueue.worker.events import FleetEvent, Seated
from pgqueue.worker.fleet import heartbeat_thread as module
from pgqueue.worker.fleet.background import Background
from pgqueue.worker.fleet.heartbeat_thread import HeartbeatThread
from pgqueue.worker.fleet.identity import Identity
from pgqueue.worker.fleet.membership import Membership
from pgqueue.worker.fleet.periodic import PeriodicWork
from pgqueue.worker.fleet.side_loop import SideLoop
from pgqueue.worker.lease import Lease
from pgqueue.worker.timings import TIMINGS


class Step:
    """A work that is always due, takes some turns, and fails now and then."""

    def __init__(self) -> None:
        self.begun = self.done = self.at_once = 0

    def begin(self) -> float:
        self.begun += 1
        return 0.0

    async def step(self, *, called: bool) -> float:
        self.at_once += 1
        try:
            assert self.at_once == 1, "one step at a time"
            await asyncio.sleep(0)
            self.done += 1
        finally:
            self.at_once -= 1
        return 0.0


async def test_periodic_work(caplog: pytest.LogCaptureFixture) -> None:
    background, steps = Background(), {"a": Step(), "b": Step()}
    works = PeriodicWork(steps, background)

    def start() -> None:
        works.start()
        works.call("a")

    async def do_each() -> None:
        before = [step.done for step in steps.values()]
        await eventually(
            lambda: all(s.done > n for s, n in zip(steps.values(), before, strict=True))
        )

    await stress(
        lambda: Subject(start=start, stop=lambda: background.cancel(30.0), works=do_each), caplog
    )
    assert "one step at a time" not in caplog.text


class Resident:
    """Lives until it is told to halt, like the heartbeat."""

    def __init__(self) -> None:
        self.side = SideLoop("pgqueue-test", self)
        self.halt = False
        self.lived = 0
        self.errors: list[BaseException] = []
        self._leave: asyncio.Event | None = None

    async def live(self) -> None:
        self._leave = asyncio.Event()
        await self.side.ask(self._note)
        if not self.halt:
            await self._leave.wait()

    def _note(self) -> None:
        self.lived += 1

    def _go(self) -> None:
        if self._leave is not None:
            self._leave.set()

    async def stop(self) -> None:
        self.halt = True
        self.side.call(self._go)
        assert await self.side.wait_ended(60.0)

    async def works(self) -> None:
        await eventually(lambda: self.lived == 1)

    def on_failed(self, error: BaseException) -> None:
        self.errors.append(error)

    def on_owner_closed(self) -> None:
        raise AssertionError("the loop is there")

    def on_exit(self) -> None:
        raise AssertionError("the interpreter does not end")


async def test_side_loop(caplog: pytest.LogCaptureFixture) -> None:
    """One thread for each of them, however often it is started."""
    residents: list[Resident] = []

    def make() -> Subject:
        resident = Resident()
        residents.append(resident)
        return Subject(start=resident.side.start, stop=resident.stop, works=resident.works)

    await stress(make, caplog, waves=ROUNDS, anew=True)
    assert all(resident.lived <= 1 and not resident.errors for resident in residents)


def heartbeat_thread_of(said: Said[FleetEvent]) -> HeartbeatThread:
    lease = Lease()
    settings = WorkerSettings(heartbeat=0.05)
    holdings = SimpleNamespace(
        unsettled=False, at_rest=False, in_doubt=False,
        workers=lambda own: [] if own is None else [own], compare=lambda rows, began: None,
    )  # fmt: skip
    return HeartbeatThread(
        "postgresql:///nowhere", "pgqueue", Identity(settings, ["a", "b"], ["t"], None),
        cast("Any", None), watch=Watch(), lease=lease, membership=Membership(),
        holdings=cast("Any", holdings),
        view=view(), events=said, timings=TIMINGS,
    )  # fmt: skip


async def test_heartbeat_thread(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It registers once at most, and whoever registered signs off."""
    stores: list[FakeStore] = []

    def store(*_: object) -> FakeStore:
        stores.append(FakeStore())
        return stores[-1]

    monkeypatch.setattr(module, "Store", store)

    def make() -> Subject:
        said = Said[FleetEvent]()
        thread = heartbeat_thread_of(said)

        async def works() -> None:
            await eventually(lambda: thread.heartbeats > 2)
            assert thread.worker_id is not None
            assert any(isinstance(event, Seated) for event in said)

        return Subject(
            start=thread.start, stop=thread.stop, works=works,
            refuses=(asyncio.CancelledError,),
        )  # fmt: skip

    await stress(make, caplog, waves=ROUNDS, anew=True)
    for one in stores:
        assert one.count("register") == one.count("remove_worker") <= 1
    assert sum(one.count("register") for one in stores) > 1
    assert "does not end" not in caplog.text
