"""How many slots a worker uses while it lags; each look is handed in."""

from __future__ import annotations

import logging

import pytest
from tests.unit.test_intake import intake

from pgqueue.worker.claim.overload import Overload

BAD, GOOD, NEITHER = 0.6, 0.1, 0.4


def looks(one: Overload, *lags: float) -> list[int]:
    """Hand in looks; return how many slots are used after each."""
    used: list[int] = []
    for lag in lags:
        one.look(lag, late=False)
        used.append(one.allowed)
    return used


def test_three_bad_looks_in_a_row_halve_the_slots() -> None:
    assert looks(Overload(16), *[BAD] * 7) == [16, 16, 8, 8, 8, 4, 4]


def test_one_slot_is_left() -> None:
    assert looks(Overload(3), *[BAD] * 12)[-1] == 1
    assert looks(Overload(1), *[BAD] * 12)[-1] == 1


@pytest.mark.parametrize("between", [GOOD, NEITHER])
def test_a_burst_is_no_overload(between: float) -> None:
    assert set(looks(Overload(16), *[BAD, BAD, between] * 10)) == {16}


def test_four_good_looks_in_a_row_double_them_again() -> None:
    one = Overload(16)
    looks(one, *[BAD] * 6)
    assert looks(one, *[GOOD] * 9) == [4, 4, 4, 8, 8, 8, 8, 16, 16]


def test_a_lag_between_changes_nothing() -> None:
    one = Overload(16)
    looks(one, *[BAD] * 3)
    assert set(looks(one, *[NEITHER] * 20)) == {8}
    assert set(looks(one, *[GOOD, GOOD, GOOD, NEITHER] * 5)) == {8}


def test_it_says_so_once_and_once_more_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        one = Overload(16)
        looks(one, *[BAD] * 12)
        assert [record.message for record in caplog.records] == [
            "overloaded: its event loop lags 0.6 s; this worker uses 8 of its 16 slots, and fewer "
            "if that goes on"
        ]
        caplog.clear()
        looks(one, *[GOOD] * 30)
    assert [record.message for record in caplog.records] == [
        "not overloaded any more: all 16 slots are used"
    ]


def test_a_worker_claims_for_the_slots_that_it_uses_and_none_ahead() -> None:
    one, runner, rest = intake()
    runner.go(1000, 1.0)
    assert (one.room(0.0), one.takes_jobs) == (110, True)
    for _ in range(3):
        one.answered(BAD)
    assert one.room(0.0) == 5
    runner.free, runner.running = 6, 4
    assert (one.room(0.0), one.takes_jobs) == (1, True)
    runner.free, runner.running = 3, 7  # from before: they go on
    assert (one.room(0.0), one.takes_jobs) == (0, False)
    assert [one.answered(GOOD) for _ in range(4)] == [False, False, False, True]
    assert (one.room(0.0), one.takes_jobs) == (103, True)
    rest.took = one.__dict__["_settings"].lease / 8  # renewals come late
    for _ in range(3):
        one.answered(GOOD)
    assert one.overload.allowed == 5
