"""Who hears what, and how often the others look: decided without a server."""

from __future__ import annotations

import pytest

from pgqueue.worker.seat import WATCH, kind_of, poll_after, seat_of, seats


@pytest.mark.parametrize(
    ("before", "rank", "channels"),
    [
        (0, 0, {""}),
        (WATCH - 1, WATCH - 1, {""}),
        (WATCH, None, {"_call"}),
        (WATCH + 11, None, {"_call"}),
        (WATCH + 12, None, set[str]()),
        (None, None, set[str]()),
    ],
)
def test_a_seat(before: int | None, rank: int | None, channels: set[str]) -> None:
    seat = seat_of(before, 100, concurrency=100)
    assert (seat.rank, seat.channels, seat.workers) == (rank, channels, 100)


@pytest.mark.parametrize(("slots", "hear"), [(1, 1003), (10, 103), (100, 15), (5000, 15)])
def test_calls_reach_a_thousand_slots(slots: int, hear: int) -> None:
    assert seats(slots) == hear


def test_watchers_do_not_look_together() -> None:
    delays = [seat_of(n, 9, concurrency=1).delay for n in range(WATCH)]
    assert delays == sorted(set(delays))
    assert delays[0] == 0.0


@pytest.mark.parametrize("interval", [0.1, 1.0, 5.0, 600.0])
@pytest.mark.parametrize("workers", [1, 2, 3, 4, 30, 3000])
def test_how_often_a_fleet_looks(interval: float, workers: int) -> None:
    away = poll_after(interval, seat_of(None, workers, 100), listen=True)
    on_watch = poll_after(interval, seat_of(0, workers, 100), listen=True)
    pooled = poll_after(interval, seat_of(0, workers, 100), listen=False)
    assert on_watch == interval
    if workers <= WATCH:
        assert away == interval
    else:
        assert 0.05 <= away / workers <= 0.25
        assert away / workers <= max(interval, 0.05)
    assert pooled >= interval
    assert workers / pooled <= 20.0 + 1e-9


def test_what_workers_have_in_common() -> None:
    kind = kind_of(["a", "b"], ["x", "y"], listen=True)
    assert kind == kind_of(["b", "a"], ["y", "x"], listen=True)
    others = [
        kind_of(["a", "b"], ["x", "y"], listen=False),
        kind_of(["a"], ["b", "x", "y"], listen=True),
        kind_of(["a", "b"], ["x"], listen=True),
        kind_of(["a", "b", "x"], ["y"], listen=True),
    ]
    assert len({kind, *others}) == 5
    assert all(-(2**63) <= one < 2**63 for one in others)
