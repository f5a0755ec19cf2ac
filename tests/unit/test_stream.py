"""When a watcher looks instead of being told, and how often, in time that is handed in."""

from __future__ import annotations

import itertools
import random

import pytest

from pgqueue.worker.claim.stream import Stream, spacing_after


def notified(*moments: float, cost: float = 0.0) -> Stream:
    stream = Stream()
    stream.note_claim(cost)
    for moment in moments:
        stream.on_notification(moment)
    return stream


def every(seconds: float, count: int = 20) -> list[float]:
    return [seconds * n for n in range(count)]


@pytest.mark.parametrize(
    ("gap", "cost", "due"),
    [
        (0.0005, 0.0, True),
        (0.0005, 0.0001, True),
        (0.002, 0.0005, False),
        (0.002, 0.001, True),  # the server is slow: each notification costs as much
        (0.005, 0.001, False),
        (0.005, 0.002, True),
        (0.007, 0.010, False),  # a stream that brings less than eight in 50 ms is over
    ],
)
def test_notifications_that_follow_each_other_closely_are_worth_nothing(
    gap: float, cost: float, due: bool
) -> None:
    assert notified(*every(gap), cost=cost).is_due is due


def test_eight_do_and_a_gap_begins_anew() -> None:
    moments = every(0.0005, 9)
    assert not notified(*moments[:8]).is_due
    assert notified(*moments).is_due
    assert not notified(*moments, 0.1).is_due


def test_two_hundred_jobs_a_second_at_random_are_told_one_by_one() -> None:
    """Where a claim takes half a millisecond; a stream would make each wait for longer."""
    rand = random.Random(7)
    stream, now, begun = notified(cost=0.0005), 0.0, 0
    for _ in range(20_000):
        now += rand.expovariate(200)
        stream.on_notification(now)
        if stream.is_due:
            begun += 1
            stream.end()
    assert begun <= 4


def test_a_stream_is_looked_at_ever_less_often_and_then_over() -> None:
    stream = Stream()
    look: float | None = stream.begin(1, 0.0)
    looks = [0.0]
    while look is not None:
        looks.append(look)
        look = stream.go_on(0, look)
    gaps = [after - before for before, after in itertools.pairwise(looks)]
    assert gaps[0] == pytest.approx(0.001)
    assert gaps == sorted(gaps)
    assert gaps[-1] == pytest.approx(0.008)
    assert 0.05 < looks[-1] < 0.06


@pytest.mark.parametrize(("rate", "goes_on"), [(100, False), (400, True), (20_000, True)])
def test_a_stream_is_over_when_it_brings_little(rate: int, goes_on: bool) -> None:
    stream = Stream()
    look: float | None = stream.begin(8, 0.0)
    seen = 0
    while look is not None and look < 1.0:
        count, seen = int(look * rate) - seen, int(look * rate)
        look = stream.go_on(count, look)
    assert (look is not None) is goes_on


@pytest.mark.parametrize(
    ("found", "ms"), [(1, 1), (2, 1), (4, 2), (8, 4), (24, 4), (48, 8), (96, 16), (1000, 16)]
)
def test_a_dense_stream_is_looked_at_less_often(found: int, ms: int) -> None:
    assert spacing_after(found) == pytest.approx(ms / 1000)


def test_after_a_stream_eight_more_begin_the_next() -> None:
    stream = notified(*every(0.0005))
    stream.begin(1, 0.01)
    stream.end()
    assert not stream.is_due
    for moment in every(0.0005, 8):
        stream.on_notification(1.0 + moment)
    assert not stream.is_due, "the first came long after the one before"
    stream.on_notification(1.004)
    assert stream.is_due
