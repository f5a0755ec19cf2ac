"""Who hears what, and how often the others look: decided without a server."""

from __future__ import annotations

import pytest

from pgqueue.worker.seat import WATCH, kind_of, load_of, poll_after, seat_of, seats


@pytest.mark.parametrize(
    ("before", "takes_jobs", "rank", "channels"),
    [
        (0, True, 0, {""}),
        (WATCH - 1, True, WATCH - 1, {""}),
        (WATCH, True, None, {"_call"}),
        (WATCH + 11, True, None, {"_call"}),
        (WATCH + 12, True, None, set[str]()),
        (0, False, None, set[str]()),
    ],
)
def test_a_seat(before: int, takes_jobs: bool, rank: int | None, channels: set[str]) -> None:
    seat = seat_of(before, 100, 100, takes_jobs=takes_jobs)
    assert (seat.rank, seat.channels, seat.workers) == (rank, channels, 100)


@pytest.mark.parametrize("takes_jobs", [True, False])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_of_few_each_is_on_watch(workers: int, takes_jobs: bool) -> None:
    assert seat_of(5, workers, 100, takes_jobs=takes_jobs).rank == WATCH - 1


@pytest.mark.parametrize(("slots", "hear"), [(1, 103), (20, 53), (100, 15), (5000, 15)])
def test_calls_reach_a_thousand_slots_but_not_everybody(slots: int, hear: int) -> None:
    assert seats(slots) == hear


def test_watchers_do_not_look_together() -> None:
    delays = [seat_of(n, 9, 1, takes_jobs=True).delay for n in range(WATCH)]
    assert delays == sorted(set(delays))
    assert delays[0] == 0.0


def test_loads_are_told_apart_by_powers_of_four() -> None:
    running = [0, 1, 3, 4, 15, 16, 63, 64, 9999]
    assert [load_of(n) for n in running] == [0, 1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize("interval", [0.1, 1.0, 5.0, 600.0])
@pytest.mark.parametrize("workers", [1, 2, 3, 4, 30, 3000])
def test_how_often_a_fleet_looks(interval: float, workers: int) -> None:
    away = poll_after(interval, seat_of(99, workers, 100, takes_jobs=True), listen=True)
    on_watch = poll_after(interval, seat_of(0, workers, 100, takes_jobs=True), listen=True)
    pooled = poll_after(interval, seat_of(0, workers, 100, takes_jobs=True), listen=False)
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
