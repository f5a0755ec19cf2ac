"""Fewer threads than slots: which tasks are claimed for, how many, and what waits for a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.harness.waiting import eventually

from pgqueue.config import WorkerSettings
from pgqueue.outcome import RELEASED
from pgqueue.worker.busy import BusyClock
from pgqueue.worker.claim.intake import Intake
from pgqueue.worker.claim.queue_state import QueueState
from pgqueue.worker.claim.scope import Scope
from pgqueue.worker.lease import Lease
from pgqueue.worker.receipt import Entry
from pgqueue.worker.run.few_threads import FewThreads
from pgqueue.worker.seat import Seat


def row(job_id: int, task: str, crashes: int = 0) -> Any:
    return {
        "id": job_id, "task": task, "crash_count": crashes, "queue": "q", "attempt": 1,
        "flow": None, "position": job_id,
    }  # fmt: skip


class Runner:
    """What a buffer asks of its runner."""

    def __init__(self) -> None:
        self.passed_on: list[int] = []

        self.has_room = asyncio.Event()

    def ring(self) -> None: ...
    def put_off(self, quarantined: list[Any]) -> None: ...

    def pass_on(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            assert entry.outcome is RELEASED
            self.passed_on.append(entry.id)


def buffer(threads: int = 2) -> tuple[FewThreads, Runner]:
    runner, lease = Runner(), Lease()
    lease.hold(0.0, float("inf"))
    one = FewThreads(
        runner, frozenset({"sync"}), threads, lease=lease, loop=asyncio.get_running_loop(),
        busy=BusyClock(),
    )  # fmt: skip
    return one, runner


def begun(one: FewThreads, most: int = 100) -> list[int]:
    ids: list[int] = []
    while len(ids) < most and (claimed := one.next()) is not None:
        ids.append(claimed[0]["id"])
    return ids


async def test_async_jobs_pass_those_that_wait_for_a_thread_and_all_else_keeps_its_order() -> None:
    one, _ = buffer(threads=2)
    kinds = ["sync", "sync", "sync", "async", "sync", "async"]
    one.add([row(n, kind) for n, kind in enumerate(kinds)], 7)
    assert (one.free, one.waiting) == (0, 4)
    assert begun(one) == [0, 1, 3, 5]
    assert (one.free, one.waiting, len(one.jobs), bool(one)) == (0, 2, 0, True)
    one.add([row(6, "sync"), row(7, "async")], 8)
    one.left(row(0, "sync"))
    assert begun(one) == [2, 7]
    one.left(row(3, "async"))
    assert begun(one) == []
    one.left(row(1, "sync"))
    one.left(row(2, "sync"))
    assert begun(one) == [4, 6]
    assert (one.free, one.waiting, one.finished, bool(one)) == (0, 0, 3, False)
    one.close()


async def test_a_quarantined_job_takes_a_place_of_its_own() -> None:
    """It must not wait among those that are released: it runs alone of its kind."""
    one, _ = buffer(threads=1)
    one.add([row(1, "sync"), row(2, "sync", crashes=2)], 7)
    assert begun(one) == [2]
    assert one.free == 0
    one.left(row(2, "sync", crashes=2))
    assert begun(one) == [1]
    one.close()


async def test_they_keep_their_order_while_there_is_no_lease_and_behind_a_quarantined_job() -> None:
    lease = Lease()
    lease.hold(0.0, float("inf"))
    one = FewThreads(
        Runner(), frozenset({"sync"}), 1, lease=lease, loop=asyncio.get_running_loop(),
        busy=BusyClock(),
    )  # fmt: skip
    one.add([row(n, "sync") for n in range(1, 5)], 7)
    assert begun(one) == [1]
    lease.hold(0.0, 0.0)
    one.left(row(1, "sync"))
    assert begun(one) == begun(one) == []
    lease.hold(0.0, float("inf"))
    one.add([row(9, "async", crashes=2)], 8)
    assert begun(one) == [9, 2]
    for n in (2, 3, 4):
        one.left(row(n, "sync"))
        assert begun(one) == ([n + 1] if n < 4 else [])
    one.close()


async def test_jobs_are_counted_as_they_come_and_go() -> None:
    one, _ = buffer(threads=3)
    assert not one.is_unused, "nobody knows yet what comes"
    one.add([row(1, "async"), row(2, "async")], 7)
    assert (one.is_unused, one.waiting, one.free) == (True, 0, 3)
    one.add([row(3, "sync"), row(4, "async"), row(5, "sync")], 8)
    assert (one.is_unused, one.waiting, one.free) == (False, 2, 1)
    assert [record["id"] for record, _ in one.take_surplus(4)] == [5]
    assert (one.waiting, one.free) == (1, 2)
    assert begun(one) == [1, 2, 3, 4]
    assert (one.waiting, one.free) == (0, 2)
    one.left(row(3, "sync"))
    assert (one.waiting, one.free) == (0, 3)
    one.add([row(6, "async")], 9)
    assert one.is_unused
    one.close()


async def test_what_waits_for_a_thread_can_be_found_cancelled_and_released() -> None:
    one, _ = buffer(threads=1)
    one.add([row(n, "sync") for n in range(1, 5)], 7)
    assert begun(one) == [1]
    assert set(one.receipts()) == {(2, 7), (3, 7), (4, 7)}
    assert [record["id"] for record, _ in one.remove({3})] == [3]
    assert [record["id"] for record, _ in one.clear()] == [2, 4]
    assert (one.passed_on, bool(one)) == (2, False)
    one.close()


async def test_a_job_that_waits_for_a_thread_for_a_second_is_released() -> None:
    """But for as many as ended in that second: so many will begin in the next one."""
    one, runner = buffer(threads=1)
    one.add([row(n, "sync") for n in range(1, 6)], 7)
    assert begun(one) == [1]
    one.left(row(1, "sync"))
    assert begun(one) == [2]
    await eventually(lambda: runner.passed_on)
    assert runner.passed_on == [5, 4]
    assert (one.waiting, one.passed_on) == (1, 2)
    await eventually(lambda: len(runner.passed_on) == 3)
    assert not one
    one.close()


@pytest.mark.parametrize(
    ("room", "threads", "claims"),
    [
        (100, None, [(True, 100), (True, 100)]),
        (100, 100, [(True, 100), (True, 100)]),
        (100, 16, [(True, 16), (False, 100), (True, 16), (False, 100)]),
        (100, 0, [(False, 100), (False, 100)]),
    ],
    ids=["no limit", "enough", "some", "none"],
)
def test_which_tasks_a_claim_is_for(
    room: int, threads: int | None, claims: list[tuple[bool, int]]
) -> None:
    one = Scope(["a"])
    assert [one.next(room, threads) for _ in claims] == claims


def test_no_claim_is_for_async_tasks_alone_where_the_one_before_found_an_end() -> None:
    one = Scope(["a"])
    assert one.next(100, 16) == (True, 16)
    one.answered(["a"], (), sync=True)
    assert one.next(100, 16) == (True, 16)


def test_claims_for_async_tasks_pass_what_is_left_for_threads_and_go_on_before_the_others() -> None:
    one = Scope(["a"])
    one.of(sync=False).advance("a", 5, 70)
    one.of(sync=True).advance("a", 5, 20)
    assert one.heads(["a"], sync=False)[5] == 70
    assert one.heads(["a"], sync=True)[5] == 20
    one.of(sync=True).advance("a", 5, 90)
    assert one.heads(["a"], sync=False)[5] == 90
    one.rewind("a", 10)
    assert one.heads(["a"], sync=False)[5] == one.heads(["a"], sync=True)[5] == 9


def test_a_poll_begins_where_stragglers_are_searched_for_up_to() -> None:
    one = Scope(["a"])
    one.of(sync=True).advance("a", 5, 20)
    one.of(sync=False).advance("a", 5, 70)
    assert one.lagging(["a"], 10.0, 2.0, sync=False)[5] == 70
    assert one.lagging(["a"], 10.0, 2.0, sync=False, poll=True)[5] == 20


def test_queues_that_were_looked_at_for_async_tasks_alone_are_looked_at_again() -> None:
    one = Scope(["a", "b"])
    one.next(100, 0)
    one.answered(["a", "b"], (), sync=False)
    assert one.left == {"a", "b"}
    one.left.clear()
    one.next(100, 16)
    one.answered(["a", "b"], {"b"}, sync=True)
    assert one.left == {"b"}


def intake(threads: Any) -> Intake:
    runner = SimpleNamespace(
        free=100, running=0, buffered=0, finished=0, passed_on=0, waits=False, threads=threads,
        busy_seconds=lambda now: 0.0,
    )  # fmt: skip
    rest = SimpleNamespace(is_over=False, seat=Seat(0, 1))
    return Intake(
        cast("Any", runner), cast("Any", rest), settings=WorkerSettings(),
        states=[QueueState("q")], seating=cast("Any", rest),
    )  # fmt: skip


def test_jobs_are_claimed_for_free_threads_and_a_tenth_of_a_second_ahead() -> None:
    assert intake(None).thread_room() is None
    threads = SimpleNamespace(free=3, waiting=0, finished=0, busy=0.0, is_unused=False)
    threads.busy_seconds = lambda now: threads.busy
    one = intake(threads)
    assert (one.thread_room(), one.takes_jobs, one.has_free_slot) == (3, True, True)
    threads.finished, threads.busy = 200, 1.0
    assert one.thread_room() == 23
    threads.free, threads.waiting = 0, 10
    assert one.thread_room() == 10
    threads.waiting = 11
    assert one.thread_room() == 0, "more than half of what is claimed ahead waits still"
    assert (one.takes_jobs, one.has_free_slot, one.room(0.0)) == (False, False, 100)
