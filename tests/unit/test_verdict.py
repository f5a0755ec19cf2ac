"""What is written of an attempt that raised. ``test_settle.py`` walks the table."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pgqueue import App, DatabaseError, Discard, PoolTimeout, Snooze, Unreachable
from pgqueue.db.waits import NotBegun
from pgqueue.outcome import RELEASED, Dead, Outcome, RetryAt, Snoozed
from pgqueue.worker.run.settle import Told
from pgqueue.worker.run.verdict import judge, only_waited

TASK: Any = App("postgresql://nowhere.invalid/none").task(name="t")(lambda: None)
RECORD: Any = {"attempt": 1, "crash_count": 0, "max_attempts": 5, "timeout_seconds": 3.0}


def outcome(told: Told, error: BaseException) -> Outcome | None:
    verdict = judge(told, error, RECORD, TASK)
    return None if verdict is None else verdict.outcome


def test_a_timeout_is_named_as_one() -> None:
    verdict = judge("timeout", asyncio.CancelledError(), RECORD, TASK)
    assert verdict is not None
    assert verdict.failure is not None
    assert (verdict.failure.type, "3 s" in verdict.failure.message) == ("TimeoutError", True)


def test_what_a_task_chooses_itself() -> None:
    assert outcome(None, Snooze(9)) == Snoozed(9)
    assert isinstance(outcome(None, Discard("no")), Dead)


def caused(by: BaseException, error: BaseException | None = None) -> BaseException:
    error = error or DatabaseError("it could not be done")
    error.__cause__ = by
    return error


WAITED = PoolTimeout("all were in use")
NOT_BEGUN = NotBegun("the server is away")


@pytest.mark.parametrize(
    "error",
    [
        WAITED,
        NOT_BEGUN,
        caused(WAITED),
        ExceptionGroup("", [WAITED, NOT_BEGUN, ExceptionGroup("", [caused(WAITED)])]),
        BaseExceptionGroup("", [WAITED]),
        caused(ExceptionGroup("", [WAITED])),
    ],
)
@pytest.mark.parametrize("attempt", [1, 5])
def test_waiting_in_vain_costs_no_attempt(error: BaseException, attempt: int) -> None:
    verdict = judge(None, error, {**RECORD, "attempt": attempt}, TASK)
    assert verdict is not None
    assert verdict.waited
    assert isinstance(verdict.outcome, Snoozed)
    assert 2 <= verdict.outcome.delay <= 6


class _Odd(PoolTimeout):
    @property
    def __class__(self) -> Any:
        raise RuntimeError

    @__class__.setter
    def __class__(self, _: Any) -> None: ...


def _circle() -> BaseException:
    one, other = DatabaseError(), DatabaseError()
    one.__cause__, other.__cause__ = other, one
    return one


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        Unreachable("the server is away"),
        caused(WAITED, ValueError("the user's own")),
        ExceptionGroup("", [WAITED, ValueError()]),
        caused(ValueError()),
        _circle(),
    ],
)
def test_what_is_more_than_waiting(error: BaseException) -> None:
    assert not only_waited(error)
    assert isinstance(outcome(None, error), RetryAt)


def test_odd_classes_are_looked_at_by_type() -> None:
    assert only_waited(_Odd("x"))


def test_a_job_that_only_waited_is_released_at_a_stop() -> None:
    assert outcome("stop", PoolTimeout("told to end")) is RELEASED
    assert isinstance(outcome("timeout", PoolTimeout("told to end")), Snoozed)
