"""How often workers look for lost ones and count the others, and how soon that follows a fleet."""

from __future__ import annotations

import pytest

from pgqueue.worker.fleet.fleet_size import (
    due_within,
    held_every,
    passed_every,
    share_of_counts,
    share_of_looks,
)


@pytest.mark.parametrize(
    ("workers", "share"), [(0, 1.0), (1, 1.0), (4, 1.0), (5, 0.8), (500, 0.008)]
)
def test_four_of_a_fleet_look_at_each_heartbeat(workers: int, share: float) -> None:
    assert share_of_looks(workers) == share


@pytest.mark.parametrize(("alike", "share"), [(1, 1.0), (49, 1.0), (50, 0.125), (3000, 0.125)])
def test_of_many_an_eighth_counts(alike: int, share: float) -> None:
    assert share_of_counts(alike) == share


@pytest.mark.parametrize("before", [5, 50, 500, 5000])
def test_those_who_are_left_soon_know(before: int) -> None:
    """How many heartbeats it takes, on average, until one that knew so many counts again."""
    assert 1 / max(share_of_counts(before), share_of_looks(before)) <= 8


@pytest.mark.parametrize(
    ("interval", "alike", "listen", "seconds"),
    [
        (1.0, 4, False, 1.0),
        (1.0, 100, False, 10.0),
        (30.0, 100, False, 30.0),
        (5.0, 100, True, 5.0),
    ],
)
def test_behind_a_pooler_a_fleet_shares_the_looks_for_passed_jobs(
    interval: float, alike: int, listen: bool, seconds: float
) -> None:
    assert passed_every(interval, alike, listen=listen) == seconds


@pytest.mark.parametrize(("alike", "seconds"), [(1, 10.0), (20, 10.0), (100, 50.0), (3000, 60.0)])
def test_workers_at_rest_share_the_looks_for_what_they_hold(alike: int, seconds: float) -> None:
    assert held_every(10.0, alike) == seconds


def test_who_looks_half_as_often_looks_for_lost_workers_twice_as_likely() -> None:
    assert share_of_looks(100, 2.0) == 2 * share_of_looks(100)
    assert share_of_looks(4, 2.0) == 1.0


def test_what_will_be_due_is_for_the_watch() -> None:
    assert due_within(2.0, at_rest=False) == 4.0
    assert due_within(3.75, at_rest=True) == 0.0
