"""How many jobs are claimed: for free slots, ahead of them, and what goes back."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pgqueue.config import WorkerSettings
from pgqueue.worker.claim.intake import Intake
from pgqueue.worker.claim.queue_state import QueueState
from pgqueue.worker.seat import Seat


class Runner:
    """Slots, as they are told to be."""

    def __init__(self) -> None:
        self.free, self.running, self.buffered = 10, 0, 0
        self.threads: Any = None
        self.finished = self.passed_on = 0
        self.waits = False
        self.busy = 0.0
        self.rings_at: list[int] = []
        self.kept: list[int] = []

    def busy_seconds(self, now: float) -> float:
        return self.busy

    def tell_when(self, buffered_at_most: int) -> None:
        self.rings_at.append(buffered_at_most)

    def add(self, records: list[Any], token: int) -> None:
        self.free -= len(records)

    def take_surplus(self, keep: int) -> list[Any]:
        self.kept.append(keep)
        return [({"queue": "q", "position": n}, 1) for n in (4, 5)]

    def go(self, jobs: int, seconds: float) -> None:
        self.finished += jobs
        self.busy += seconds


def intake(workers: int = 1, **settings: Any) -> tuple[Intake, Runner, Any]:
    runner = Runner()
    rest = SimpleNamespace(is_over=False, took=0.0, seat=Seat(0, workers), state=QueueState("q"))
    one = Intake(
        cast("Any", runner),
        cast("Any", rest),
        settings=WorkerSettings.of({"concurrency": 10, **settings}),
        states=[rest.state],
        seating=cast("Any", rest),
    )
    return one, runner, rest


def test_there_is_room_for_free_slots_and_a_tenth_of_a_second_ahead() -> None:
    one, runner, _ = intake()
    assert one.room(0.0) == 10
    runner.go(1000, 1.0)
    assert one.room(0.0) == 110


def test_there_is_none_without_a_lease_or_once_it_is_closed() -> None:
    one, _, rest = intake()
    rest.is_over = True
    assert one.room(0.0) == 0
    rest.is_over = False
    assert one.room(0.0) == 10
    one.closed = True
    assert one.room(0.0) == 0


def test_there_is_none_beside_jobs_on_their_way_back() -> None:
    one, runner, _ = intake()
    one.mark()
    assert len(one.take_surplus()) == 2
    assert runner.kept == [0], "nothing ended, so no slot will come free soon"
    assert one.room(0.0) == 0
    assert one.returned("q", 4)
    assert one.room(0.0) == 0
    assert one.returned("q", 5)
    assert one.room(0.0) == 10
    assert not one.returned("q", 6), "that was no business of this"


def test_after_an_answer_that_could_not_be_read_jobs_come_one_by_one() -> None:
    one, _, _ = intake()
    one.one_by_one(5.0)
    assert (one.room(5.0), one.room(14.9), one.room(15.0)) == (1, 1, 10)


def test_the_limit_counts_what_was_claimed_and_not_passed_on() -> None:
    one, runner, _ = intake(max_jobs=12)
    one.add([{}] * 7, 1)
    assert (one.claimed, one.room(0.0), one.takes_jobs, one.is_spent) == (7, 3, True, False)
    runner.free = 10
    assert one.room(0.0) == 5
    one.add([{}] * 5, 2)
    runner.waits = True
    assert (one.room(0.0), one.takes_jobs, one.is_spent) == (0, False, False)
    runner.waits = False
    assert one.is_spent
    runner.passed_on = 2
    assert (one.room(0.0), one.takes_jobs, one.is_spent) == (2, True, False)


def test_a_batch_is_worth_it_once_half_of_what_was_ahead_has_gone() -> None:
    one, runner, _ = intake()
    runner.go(1000, 1.0)
    runner.buffered, runner.free = 51, 0
    assert not one.is_worth_it(0.0)
    assert runner.rings_at == [50]
    runner.buffered = 50
    assert one.is_worth_it(0.0)
    assert runner.rings_at == [50], "it need not ring"


@pytest.mark.parametrize("busy", [True, False])
def test_one_of_many_claims_ahead_only_from_what_is_full_and_after_a_round(busy: bool) -> None:
    one, runner, rest = intake(workers=3)
    assert one.room(0.0) == 10
    runner.go(1000, 1.0)
    assert one.room(0.0) == 10, "others may have free slots"
    rest.state.full_since = 1.0 if busy else None
    assert one.room(0.0) == 10, "nor by the prefetch of jobs that were there before"
    runner.go(1000, 1.0)
    assert one.room(0.0) == (110 if busy else 10)


def test_the_pace_of_a_drain_is_forgotten_once_no_queue_is_full() -> None:
    one, runner, rest = intake(workers=3, concurrency=1)
    runner.free = 1
    assert one.room(0.0) == 1
    rest.state.full_since = 1.0
    runner.go(10_000, 1.0)
    assert one.room(0.0) == 1001
    rest.state.full_since = None
    assert one.room(0.0) == 1
    rest.state.full_since = 2.0
    runner.go(1, 0.01)
    assert one.room(0.0) == 2, "jobs of 10 ms: one that runs next, not a thousand"
    runner.go(1, 0.01)
    assert one.room(0.0) == 3
    runner.go(20, 0.2)
    assert one.room(0.0) == 11


def test_a_worker_alone_keeps_its_pace() -> None:
    one, runner, _ = intake()
    runner.go(1000, 1.0)
    assert one.room(0.0) == 110
    runner.go(1, 0.001)
    assert one.room(0.0) == 110


def test_long_jobs_go_back_and_fewer_are_claimed_ahead_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, runner, _ = intake()
    runner.go(1000, 1.0)
    assert one.room(0.0) == 110
    began = time.monotonic()
    one.mark()
    runner.finished += 20
    clock = SimpleNamespace(monotonic=lambda: began + 1.0)
    monkeypatch.setattr("pgqueue.worker.claim.prefetch.time", clock)
    one.take_surplus()
    assert runner.kept == [pytest.approx(20, abs=1)]
    assert one.returned("q", 4)
    assert one.returned("q", 5)
    assert one.room(0.0) == pytest.approx(12, abs=1)
