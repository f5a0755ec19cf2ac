"""Ratios of two trees that took turns."""

from __future__ import annotations

import pytest
from benchmarks.versus import interval, ratios


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(1, 1, 1), (4, 1, 4), (5, 1, 5), (7, 1, 7), (8, 2, 7), (15, 4, 12), (20, 6, 15)],
)
def test_the_interval_is_that_of_the_sign_test(count: int, low: int, high: int) -> None:
    # Tables of the sign test at 90 %: 8 samples leave out one at each end, 15 three, 20 five.
    assert interval([float(n) for n in range(count, 0, -1)]) == (low, high)


def test_a_ratio_is_of_two_runs_of_one_turn() -> None:
    name = ("drain", "jobs/s")
    found = ratios(
        [({name: 10.0}, {name: 20.0}), ({name: 30.0}, {name: 30.0}), ({name: 9.0}, {name: 10.0})]
    )
    assert [(one.figure, one.median, one.low, one.high) for one in found] == [
        ("jobs/s", 0.9, 0.5, 1.0)
    ]


def test_a_figure_that_one_tree_does_not_have_is_left_out() -> None:
    both, mine = ("idle", "CPU"), ("idle", "new")
    assert [one.figure for one in ratios([({both: 1.0, mine: 1.0}, {both: 1.0})])] == ["CPU"]
