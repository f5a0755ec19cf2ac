"""How often workers look for lost ones and count the others, and how soon that follows a fleet."""

from __future__ import annotations

import pytest

from pgqueue.worker.fleet_size import share_of_counts, share_of_looks


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
    """How many pulses it takes, on average, until one that knew so many counts again."""
    assert 1 / max(share_of_counts(before), share_of_looks(before)) <= 8
