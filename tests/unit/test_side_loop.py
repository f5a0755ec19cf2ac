"""A thread with a loop of its own, and the calls between two loops."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.harness.waiting import eventually

from pgqueue.worker.fleet.side_loop import SideLoop


class Resident:
    """Notes what it is told, and in which thread."""

    def __init__(self, live: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._live = live
        self.errors: list[BaseException] = []
        self.closed: list[int] = []

    async def live(self) -> None:
        await self._live()

    def on_failed(self, error: BaseException) -> None:
        self.errors.append(error)

    def on_owner_closed(self) -> None:
        self.closed.append(threading.get_ident())

    def on_exit(self) -> None:
        raise AssertionError("the interpreter does not end")


async def test_each_side_runs_what_the_other_wants_called() -> None:
    here, told, called = threading.get_ident(), list[int](), list[int]()
    leave = asyncio.Event()
    asked = threading.Event()

    async def live() -> None:
        side.tell(lambda: told.append(threading.get_ident()))
        await side.ask(lambda: told.append(threading.get_ident()))
        assert len(told) == 2, "it waits for the answer"
        asked.set()
        await leave.wait()

    resident = Resident(live)
    side = SideLoop("pgqueue-test", resident)
    side.call(lambda: called.append(0))  # it does not run yet
    assert await side.wait_ended(0.0), "nor does it keep a stop waiting"
    side.start()
    await eventually(asked.is_set)
    side.call(lambda: called.append(threading.get_ident()))
    await eventually(lambda: bool(called))
    assert not await side.wait_ended(0.0)
    side.call(leave.set)
    assert await side.wait_ended(30.0)
    assert told == [here, here]
    assert here not in called
    assert len(called) == 1
    assert (resident.errors, resident.closed) == ([], [])


async def test_an_answer_comes_though_the_call_fails() -> None:
    failed = asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(lambda *_: failed.set())

    async def live() -> None:
        await side.ask(lambda: 1 // 0)

    side = SideLoop("pgqueue-test", Resident(live))
    side.start()
    assert await side.wait_ended(30.0)
    assert failed.is_set()


async def test_an_error_ends_the_thread_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    error = KeyError("nobody expects this")

    async def live() -> None:
        raise error

    resident = Resident(live)
    side = SideLoop("pgqueue-test", resident)
    side.start()
    assert await side.wait_ended(30.0)
    assert resident.errors == [error]
    await eventually(lambda: "the heartbeat thread failed" in caplog.text)


def test_an_owner_whose_loop_was_closed() -> None:
    go = threading.Event()

    async def live() -> None:
        await asyncio.to_thread(go.wait)
        side.tell(lambda: None)

    async def make() -> SideLoop:
        made = SideLoop("pgqueue-test", resident)
        made.start()
        return made

    resident = Resident(live)
    side = asyncio.run(make())
    go.set()
    side.join(30.0)
    assert len(resident.closed) == 2, "once by live, and once as the thread ends"
    assert threading.get_ident() not in resident.closed
