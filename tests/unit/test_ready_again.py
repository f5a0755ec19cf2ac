"""Which jobs run again, of those whose outcomes were written."""

from __future__ import annotations

import pytest

from pgqueue.failure import describe
from pgqueue.outcome import CANCELLED, DONE, RELEASED, Dead, Outcome, RetryAt, Snoozed
from pgqueue.worker.ready_again import places_of, soonest_of
from pgqueue.worker.receipt import Entry

FAILURE = describe(ValueError())


def entry(outcome: Outcome, queue: str = "mail", position: int | None = 7) -> Entry:
    return Entry(1, 2, outcome, queue=queue, position=position)


@pytest.mark.parametrize(
    ("outcomes", "soonest"),
    [
        ([], None),
        ([RELEASED, DONE, CANCELLED, Dead("no", None)], None),
        ([RetryAt(3.0, FAILURE)], 3.0),
        ([Snoozed(5.0), RetryAt(9.0, FAILURE), RELEASED], 5.0),
        ([Snoozed(0.0)], 0.0),
    ],
)
def test_when_the_first_is_due(outcomes: list[Outcome], soonest: float | None) -> None:
    assert soonest_of([entry(outcome) for outcome in outcomes]) == soonest


def test_only_what_was_released_is_ready_at_its_old_place() -> None:
    entries = [
        entry(RELEASED, "a", 7),
        entry(RELEASED, "b", None),
        entry(Snoozed(1.0), "c", 8),
        entry(DONE, "d", 9),
        entry(RELEASED, "a", 3),
    ]
    assert places_of(entries) == [("a", 7), ("a", 3)]
