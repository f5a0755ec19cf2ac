"""When periodic work is due, and how it is done."""

from __future__ import annotations

import asyncio
import logging
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.waiting import eventually

from pgqueue.worker.fleet.background import Background
from pgqueue.worker.fleet.periodic import PeriodicWork
from pgqueue.worker.fleet.timetable import Timetable


def test_what_is_due_is_taken_once() -> None:
    table = Timetable()
    assert (table.next_at(), table.due(0.0)) == (math.inf, [])
    table.put("a", 3.0)
    table.put("b", 2.0)
    table.put("c", 9.0)
    assert (table.next_at(), table.due(1.9)) == (2.0, [])
    assert table.due(3.0) == [("b", False), ("a", False)]
    assert (table.due(3.0), table.next_at()) == ([], 9.0)


def test_who_is_called_for_does_not_wait() -> None:
    table = Timetable()
    table.put("a", 3.0)
    table.put("b", 0.5)
    table.call("a")
    assert table.next_at() == -math.inf
    assert table.due(1.0) == [("a", True), ("b", False)]
    table.put("a", 3.0)
    assert (table.next_at(), table.due(1.0)) == (3.0, [])


def test_who_is_called_for_while_it_is_done_is_done_once_more() -> None:
    table = Timetable()
    table.call("a")  # before it was put down at all
    assert (table.due(9.0), table.next_at()) == ([], math.inf)
    table.put("a", 3.0)
    assert table.due(0.0) == [("a", True)]
    table.call("a")
    table.call("a")
    assert table.due(9.0) == []
    table.put("a", 12.0)
    assert table.due(9.0) == [("a", True)]
    table.put("a", 12.0)
    assert table.due(9.0) == []


def test_who_is_called_for_later_is_done_by_then_at_the_latest() -> None:
    table = Timetable()
    table.put("a", 9.0)
    table.call("a", 5.0)
    table.call("a", 7.0)
    assert (table.next_at(), table.due(4.9)) == (5.0, [])
    assert table.due(5.0) == [("a", True)]
    table.call("a", 8.0)  # while it is done
    table.put("a", 20.0)
    assert (table.next_at(), table.due(8.0)) == (8.0, [("a", True)])
    table.call("a", 30.0)
    table.put("a", 21.0)
    assert table.due(21.0) == [("a", False)], "the call is still to come"
    table.put("a", math.inf)
    assert table.next_at() == 30.0


NAMES = st.sampled_from("abc")
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAMES, st.integers(0, 20)),
        st.tuples(st.just("call"), NAMES, st.just(0)),
        st.tuples(st.just("due"), st.just("a"), st.integers(0, 20)),
    )
)


@given(EVENTS)
def test_against_a_table_that_is_searched(events: list[tuple[str, str, int]]) -> None:
    table = Timetable()
    waiting: dict[str, int] = {}
    called: set[str] = set()
    for what, name, number in events:
        if what == "put":
            table.put(name, number)
            waiting[name] = number
        elif what == "call":
            table.call(name)
            called.add(name)
        else:
            want = {(n, n in called) for n, at in waiting.items() if n in called or at <= number}
            assert (table.next_at() <= number) == bool(want)
            assert set(table.due(number)) == want
            for taken, _ in want:
                del waiting[taken]
                called.discard(taken)


class Steps:
    """A work that waits to be let on, and says each time how long it rests."""

    def __init__(self, rest: float, *, first: float = 0.0) -> None:
        self.rest, self.first = rest, first
        self.seen: list[bool] = []
        self.begun = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    def begin(self) -> float:
        self.begun += 1
        return self.first

    async def step(self, *, called: bool) -> float:
        self.seen.append(called)
        await self.gate.wait()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return self.rest


async def test_works_do_not_wait_for_each_other() -> None:
    background = Background()
    slow, quick, seldom = Steps(0.0), Steps(0.0), Steps(3600.0, first=3600.0)
    slow.gate.clear()
    works = PeriodicWork({"slow": slow, "quick": quick, "seldom": seldom}, background)
    works.start()
    await eventually(lambda: len(quick.seen) > 20)
    assert (slow.seen, seldom.seen) == ([False], []), "one step of a work at a time"
    works.call("seldom")
    await eventually(lambda: seldom.seen == [True])
    works.call("slow")
    slow.gate.set()
    await eventually(lambda: len(slow.seen) > 1)
    assert slow.seen[:2] == [False, True]
    await background.cancel(5.0)
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_a_work_that_fails_begins_again(caplog: pytest.LogCaptureFixture) -> None:
    background = Background()
    work = Steps(3600.0)
    work.error = KeyError("nobody expects this")
    with caplog.at_level(logging.ERROR, "pgqueue.worker"):
        PeriodicWork({"work": work}, background, again_after=0.0).start()
        await eventually(lambda: len(work.seen) == 2)
    assert work.begun == 2
    assert "nobody expects this" in caplog.text
    await background.cancel(5.0)
