"""What follows on a write that failed: the table, line by line, and where every way down ends."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgqueue.db.faults import Contended, Rejected
from pgqueue.errors import DatabaseError, OutcomeUnknown, Unreachable
from pgqueue.failure import Failure
from pgqueue.outcome import CANCELLED, DONE, RELEASED, Dead, Outcome, RetryAt, Snoozed
from pgqueue.worker.finish.batches import Batch, Buried, Ended, Returned
from pgqueue.worker.finish.ladder import (
    Again,
    Less,
    OneByOne,
    SetAside,
    Step,
    next_step,
)
from pgqueue.worker.finish.rungs import DAMAGED, Rung
from pgqueue.worker.receipt import Entry
from pgqueue.worker.timings import TIMINGS

FAILURE = Failure("ValueError", "a \0 byte", "line 1")


class Refusal(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


def refused(sqlstate: str) -> Rejected:
    error = Rejected(sqlstate)
    error.__cause__ = Refusal(sqlstate)
    return error


OF_THE_ROW = refused("XX001")
BY_A_TRIGGER = refused("P0001")
LOCKED = Contended("a lock")
AWAY = (Unreachable("refused"), DatabaseError("53300"), OSError("no descriptor"), KeyError("?"))
UNKNOWN = OutcomeUnknown("lost")
ERRORS = (OF_THE_ROW, BY_A_TRIGGER, LOCKED, UNKNOWN, *AWAY)


def entry(outcome: Outcome, job_id: int = 1, rung: int = Rung.WHOLE) -> Entry:
    return Entry(job_id, 7, outcome, rung=rung)


def batches(jobs: int) -> list[Batch]:
    ids = range(1, jobs + 1)
    return [
        Ended([(n, 7) for n in ids], "completed"),
        Ended([(n, 7) for n in ids], "cancelled"),
        Returned([entry(RetryAt(1.0, FAILURE), n) for n in ids]),
        Returned([entry(Snoozed(1.0, FAILURE), n) for n in ids]),
        Returned([entry(Snoozed(1.0), n) for n in ids]),
        Returned([entry(RELEASED, n) for n in ids]),
        Buried([entry(Dead("failed", FAILURE), n) for n in ids]),
        Buried([entry(Dead("failed", None), n) for n in ids]),
    ]


ANY_BATCH = st.integers(1, 3).flatmap(lambda jobs: st.sampled_from(batches(jobs)))


@pytest.mark.parametrize("jobs", [1, 3])
def test_without_an_answer_the_same_is_written_again(jobs: int) -> None:
    for batch in batches(jobs):
        assert next_step(batch, UNKNOWN, 0) == Again(uncertain=True)
        for error in AWAY:
            assert next_step(batch, error, 5) == Again(uncertain=False)


@pytest.mark.parametrize("error", [OF_THE_ROW, BY_A_TRIGGER, LOCKED], ids=str)
def test_of_several_that_are_refused_each_is_written_by_itself(error: Exception) -> None:
    for batch in batches(3):
        step = next_step(batch, error, 0)
        assert isinstance(step, OneByOne)
        assert [type(one) for one in step.batches] == [type(batch)] * 3
        assert [one.receipts for one in step.batches] == [[receipt] for receipt in batch.receipts]


def test_one_whose_row_is_locked_waits_as_it_is() -> None:
    for batch in batches(1):
        assert next_step(batch, LOCKED, 5) == SetAside(batch.first, TIMINGS.writes.locked)


@pytest.mark.parametrize(
    ("state", "outcome"), [("completed", DONE), ("cancelled", CANCELLED)], ids=str
)
def test_the_steps_of_a_job_that_ends(state: str, outcome: Outcome) -> None:
    whole = Ended([(1, 7)], state)
    no_errors, least = replace(whole, rung=Rung.NO_ERRORS), replace(whole, rung=Rung.NO_ARGUMENTS)
    aside = SetAside(Entry(1, 7, outcome), TIMINGS.writes.refused)
    table: list[tuple[Ended, Exception, int, Step]] = [
        (whole, OF_THE_ROW, 0, Again()),
        (whole, OF_THE_ROW, 1, Again()),
        (whole, OF_THE_ROW, 2, Less(no_errors)),
        (no_errors, OF_THE_ROW, 3, Less(least)),
        (least, OF_THE_ROW, 4, aside),
        (whole, BY_A_TRIGGER, 1, Again()),
        (whole, BY_A_TRIGGER, 2, aside),
        (no_errors, BY_A_TRIGGER, 3, aside),
    ]
    for batch, error, refusals, step in table:
        assert next_step(batch, error, refusals) == step, (batch, error, refusals)


@pytest.mark.parametrize(
    ("outcomes", "error"),
    [
        (
            [
                RetryAt(1.0, FAILURE),
                RetryAt(1.0, FAILURE.plain()),
                RetryAt(1.0, FAILURE.constant()),
                RetryAt(1.0, FAILURE.constant()),
            ],
            BY_A_TRIGGER,
        ),
        ([Snoozed(1.0)], OF_THE_ROW),
        ([RELEASED], OF_THE_ROW),
        (
            [
                Dead("a \0 byte", FAILURE),
                Dead("a ? byte", FAILURE.plain()),
                Dead("a ? byte", FAILURE.constant()),
            ],
            BY_A_TRIGGER,
        ),
        (
            [
                Dead("failed", FAILURE),
                Dead("failed", FAILURE.plain()),
                Dead("failed", FAILURE.constant()),
                Dead("failed", DAMAGED),
                Dead("its arguments could not be kept", DAMAGED),
            ],
            OF_THE_ROW,
        ),
    ],
    ids=["retry", "snooze", "release", "dead, by a trigger", "dead, of the row"],
)
def test_the_steps_of_an_outcome_that_is_refused(outcomes: list[Outcome], error: Exception) -> None:
    kind = Buried if isinstance(outcomes[0], Dead) else Returned
    batch: Batch = kind([entry(outcomes[0])])
    for rung, outcome in enumerate(outcomes[1:], 1):
        step = next_step(batch, error, 0)
        assert step == Less(kind([entry(outcome, rung=rung)]))
        batch = step.batch
    assert next_step(batch, error, 0) == SetAside(batch.first, TIMINGS.writes.refused)


@given(ANY_BATCH, st.lists(st.sampled_from(ERRORS), max_size=30))
def test_every_way_down_keeps_the_job_and_ends(batch: Batch, errors: list[Exception]) -> None:
    """A step keeps the receipts, never writes more again, and keeps what a next attempt needs."""
    refusals = lesser = 0
    for error in errors:
        step = next_step(batch, error, refusals)
        refusals += isinstance(error, Rejected)
        match step:
            case Again():
                assert not isinstance(error, Contended)
            case OneByOne(singles):
                assert len(batch) > 1
                batch = singles[-1]
                assert len(batch) == 1
                refusals = 0
            case Less(less):
                assert isinstance(error, Rejected)
                assert (less.receipts, type(less)) == (batch.receipts, type(batch))
                assert rung_of(less) > rung_of(batch)
                if rung_of(less) >= Rung.NO_ERRORS and not isinstance(less, Returned):
                    assert error is OF_THE_ROW
                assert rung_of(less) <= (
                    Rung.NO_ERRORS if isinstance(less, Returned) else Rung.NO_ARGUMENTS
                )
                batch = less
                lesser += 1
            case SetAside(one, seconds):
                assert [(one.id, one.token)] == batch.receipts
                assert seconds == (
                    TIMINGS.writes.locked if error is LOCKED else TIMINGS.writes.refused
                )
                break
    assert lesser <= Rung.NO_ARGUMENTS


@given(ANY_BATCH, st.sampled_from([OF_THE_ROW, BY_A_TRIGGER]))
def test_what_is_always_refused_is_set_aside_in_eight_steps(batch: Batch, error: Exception) -> None:
    for refusals in range(8):
        match next_step(batch, error, refusals):
            case OneByOne(singles):
                batch = singles[0]
            case Less(less):
                batch = less
            case SetAside():
                return
            case Again():
                pass
    raise AssertionError(batch)


def rung_of(batch: Batch) -> int:
    return batch.rung if isinstance(batch, Ended) else batch.first.rung
