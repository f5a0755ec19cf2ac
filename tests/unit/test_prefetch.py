"""How many jobs are claimed ahead of free slots."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from pgqueue.worker.claim.prefetch import Prefetch


class Busy:
    """What a runner tells of itself."""

    def __init__(self) -> None:
        self.finished = 0
        self.busy = 0.0

    def busy_seconds(self, now: float) -> float:
        return self.busy

    def go(self, jobs: int, seconds: float) -> None:
        self.finished += jobs
        self.busy += seconds


def paced(max_prefetch: int = 10_000) -> tuple[Prefetch, Busy]:
    busy = Busy()
    return Prefetch(cast("Any", busy), max_prefetch), busy


def test_nothing_is_claimed_ahead_before_anything_is_known() -> None:
    prefetch, _ = paced()
    assert prefetch.ahead(turn=0.0) == 0


def test_a_tenth_of_a_second_or_the_last_turn_and_half_a_second_at_most() -> None:
    prefetch, busy = paced()
    busy.go(1000, 1.0)
    assert prefetch.ahead(turn=0.0) == 100
    assert prefetch.ahead(turn=0.3) == 300
    assert prefetch.ahead(turn=30.0) == 500


def test_no_more_than_may_be_fetched_ahead() -> None:
    assert paced(max_prefetch=0)[0].ahead(turn=0.0) == 0
    prefetch, busy = paced(max_prefetch=7)
    busy.go(1000, 1.0)
    assert prefetch.ahead(turn=0.0) == 7


def test_one_job_ahead_is_none() -> None:
    prefetch, busy = paced()
    busy.go(19, 1.0)
    assert prefetch.ahead(turn=0.0) == 0


def test_fifty_jobs_tell_at_once_and_few_only_after_a_while() -> None:
    prefetch, busy = paced()
    busy.go(49, 0.001)
    assert prefetch.ahead(turn=0.0) == 0
    busy.go(1, 0.001)
    assert prefetch.ahead(turn=0.0) == 2500


def test_a_change_is_believed_by_how_long_it_has_lasted() -> None:
    prefetch, busy = paced()
    busy.go(1024, 1.0)
    assert prefetch.ahead(turn=0.0) == 102
    busy.go(0, 0.125)
    assert prefetch.ahead(turn=0.0) == 38
    busy.go(0, 0.25)
    assert prefetch.ahead(turn=0.0) == 0


def test_what_is_forgotten_says_nothing_of_the_jobs_after_it() -> None:
    """The rate of a drain of quick jobs made one slot claim two thousand slow ones."""
    prefetch, busy = paced()
    busy.go(20_000, 1.0)
    assert prefetch.ahead(turn=0.0) == 2000
    prefetch.forget()
    assert (prefetch.ended, prefetch.ahead(turn=0.0)) == (0, 0)
    busy.go(8, 0.125)
    assert (prefetch.ended, prefetch.ahead(turn=0.0)) == (8, 6)


@pytest.mark.parametrize(
    ("ended", "seconds", "ahead"),
    [
        (0, 0.0, 0),
        (1, 0.0, 0),  # the clock has not moved
        (1, 0.0002, 1),
        (1, 0.01, 1),
        (1, 0.06, 0),  # one in a tenth of a second has no second beside it
        (1, 5.0, 0),
        (4, 0.01, 4),
        (8, 0.02, 8),
        (16, 0.16, 10),  # a tenth of a second, as ever
        (49, 0.001, 49),
        (50, 0.001, 5000),
    ],
)
def test_few_jobs_tell_only_of_as_many_more(ended: int, seconds: float, ahead: int) -> None:
    prefetch, busy = paced()
    busy.go(20_000, 1.0)
    assert prefetch.ahead(turn=0.0) == 2000
    prefetch.forget()
    assert prefetch.ahead_at_first(turn=0.0) == 0
    busy.go(ended, seconds)
    assert prefetch.ahead_at_first(turn=0.0) == ahead


def test_the_first_jobs_of_one_slot_double_what_is_claimed() -> None:
    prefetch, busy = paced()
    prefetch.forget()
    claimed: list[int] = []
    for _ in range(8):
        room = 1 + prefetch.ahead_at_first(turn=0.0)
        claimed.append(room)
        busy.go(room, room * 0.0001)
    assert claimed == [1, 2, 4, 8, 16, 32, 1001, 1001]


def test_since_a_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    prefetch, busy = paced()
    busy.go(10, 1.0)
    prefetch.mark()
    busy.go(6, 1.0)
    now += 3.0
    assert prefetch.since_mark(at_least=1.0) == 2.0
    now += 0.1
    busy.go(4, 0.1)
    assert prefetch.since_mark(at_least=1.0) == 4.0
    assert prefetch.since_mark(at_least=1.0) == 0.0


def test_slow_jobs_end_what_was_believed() -> None:
    prefetch, busy = paced()
    busy.go(1000, 1.0)
    assert prefetch.ahead(turn=0.0) == 100
    prefetch.slow_to(30.0)
    assert prefetch.ahead(turn=0.0) == 3
