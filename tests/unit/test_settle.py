"""What an attempt comes to: every pair of what it was told and how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, get_args

import pytest

from pgqueue import App, PoolTimeout
from pgqueue.outcome import CANCELLED, RELEASED, RetryAt, Snoozed
from pgqueue.worker.run import settle as module
from pgqueue.worker.run.settle import TABLE, Decision, Ended, Told, Why, settle
from pgqueue.worker.run.verdict import Verdict, ended_by, judge

EVERY_TOLD: list[Told] = [None, *get_args(Why), "completed"]
NAMES: dict[str, Told] = {
    "nobody": None,
    "timeout": "timeout",
    "timeout, in a wait": "waiting",
    "a cancel request": "cancelled",
    "a stop of the worker": "stop",
    "the loss of its lease": "lost",
    "abandoned": "abandoned",
    "its own transaction": "completed",
}
ERRORS: dict[Ended, Callable[[], BaseException]] = {
    Ended.CANCELLED: asyncio.CancelledError,
    Ended.WAITED: lambda: PoolTimeout("all were in use"),
    Ended.RAISED: lambda: ValueError("no"),
}
TASK: Any = App("postgresql://nowhere.invalid/none").task(name="t")(lambda: None)
RECORD: Any = {"attempt": 1, "crash_count": 0, "max_attempts": 5, "timeout_seconds": 3.0}

every_told = pytest.mark.parametrize("told", EVERY_TOLD)
every_end = pytest.mark.parametrize("ended", Ended)


def test_the_table_is_complete() -> None:
    assert TABLE.keys() == {(told, ended) for told in EVERY_TOLD for ended in Ended}


def test_the_table_is_the_one_in_the_text() -> None:
    lines = [line for line in (module.__doc__ or "").splitlines() if line.startswith("| ")]
    head, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert head[1:] == [ended.value for ended in Ended]
    assert {row[0] for row in rows} == NAMES.keys()
    for name, *decisions in rows:
        for ended, decision in zip(Ended, decisions, strict=True):
            assert settle(NAMES[name], ended).value == decision, (name, ended)


@every_told
@every_end
def test_nothing_is_dropped_that_has_no_outcome_elsewhere(told: Told, ended: Ended) -> None:
    """Others have the job of a lost lease; the rest were written before."""
    written = told in ("abandoned", "completed")
    not_ours = told == "lost" and ended is not Ended.RETURNED
    assert (settle(told, ended) is Decision.NOTHING) is (written or not_ours)


@every_told
@every_end
def test_done_are_those_that_returned_and_no_others(told: Told, ended: Ended) -> None:
    if ended is not Ended.RETURNED:
        assert settle(told, ended) is not Decision.DONE
    elif told not in ("abandoned", "completed"):
        assert settle(told, ended) is Decision.DONE


@every_told
@every_end
def test_an_error_of_its_own_counts_unless_somebody_wants_it_gone(told: Told, ended: Ended) -> None:
    failed = settle(told, ended) in (Decision.FAILED, Decision.TIMED_OUT)
    if ended is Ended.RAISED:
        assert failed is (told in (None, "timeout", "waiting", "stop"))
    else:
        assert failed is (ended is Ended.CANCELLED and told in (None, "timeout"))


@pytest.mark.parametrize("ended", ERRORS)
def test_how_a_job_ended_is_seen_by_its_error(ended: Ended) -> None:
    assert ended_by(ERRORS[ended]()) is ended


def is_written(verdict: Verdict | None, decision: Decision) -> bool:
    """Whether what is written is what was decided."""
    if verdict is None:
        return decision is Decision.NOTHING
    failure = None if verdict.failure is None else verdict.failure.type
    match decision:
        case Decision.FAILED:
            return isinstance(verdict.outcome, RetryAt) and not verdict.waited
        case Decision.TIMED_OUT:
            return isinstance(verdict.outcome, RetryAt) and failure == "TimeoutError"
        case Decision.PUT_OFF:
            return isinstance(verdict.outcome, Snoozed) and verdict.waited
        case Decision.CANCELLED:
            return verdict.outcome is CANCELLED
        case Decision.RELEASED:
            return verdict.outcome is RELEASED
        case _:
            return False


@every_told
@pytest.mark.parametrize("ended", ERRORS)
def test_what_is_decided_is_written(told: Told, ended: Ended) -> None:
    assert is_written(judge(told, ERRORS[ended](), RECORD, TASK), settle(told, ended))
