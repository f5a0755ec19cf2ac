"""What is done about a statement that takes long, and when; no server is needed."""

from __future__ import annotations

import pytest

from pgqueue.db.stall import Step, next_step


@pytest.mark.parametrize("left", [-1.0, 0.0, 20.0])
@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize(("late", "heard"), [(0.0, True), (1.1, False), (1.1, True)])
def test_what_came_is_read_first(late: float, heard: bool, asks: bool, left: float) -> None:
    assert next_step(late=late, heard=heard, asks=asks, left=left) is Step.READ


@pytest.mark.parametrize("late", [0.0, 1.0])
@pytest.mark.parametrize(
    ("asks", "left", "step"),
    [
        (True, 20.0, Step.ASK),
        (True, 0.1, Step.ASK),
        (True, 0.0, Step.GIVE_UP),
        (True, -1.0, Step.GIVE_UP),
        # With no session to ask about, the timer goes off when the statement is given up.
        (False, 0.0, Step.END),
        (False, -1.0, Step.END),
    ],
)
def test_else_somebody_is_asked_until_it_is_given_up(
    late: float, asks: bool, left: float, step: Step
) -> None:
    assert next_step(late=late, heard=False, asks=asks, left=left) is step
