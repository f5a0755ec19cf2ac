"""What an attempt comes to, case by case; and the table of moves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pgqueue.config import LONGEST_DELAY
from pgqueue.errors import ConfigError, Discard, Retry, Snooze
from pgqueue.failure import Failure
from pgqueue.job import MOVES, JobState
from pgqueue.outcome import Dead, RetryAt, Snoozed, decide
from pgqueue.retry import Backoff

FAILURE = Failure("ValueError", "no", "")


def always(attempt: int, error: BaseException) -> float:
    return attempt * 10.0


def never(attempt: int, error: BaseException) -> None:
    return None


@pytest.mark.parametrize(
    ("error", "attempt", "crashes", "most", "policy", "outcome"),
    [
        (ValueError(), 1, 0, 3, always, RetryAt(10.0, FAILURE)),
        (ValueError(), 2, 0, 3, always, RetryAt(20.0, FAILURE)),
        (ValueError(), 1, 0, 1, always, Dead("failed once, with ValueError", FAILURE)),
        (ValueError(), 3, 0, 3, always, Dead("failed 3 times, the last with ValueError", FAILURE)),
        (ValueError(), 4, 0, 3, always, Dead("failed 4 times, the last with ValueError", FAILURE)),
        (ValueError(), 1, 0, 3, never, Dead("ValueError is not tried again", FAILURE)),
        (ValueError(), 3, 0, 3, never, Dead("failed 3 times, the last with ValueError", FAILURE)),
        # A crash is not an attempt that failed.
        (ValueError(), 3, 1, 3, always, RetryAt(20.0, FAILURE)),
        (ValueError(), 4, 1, 3, always, Dead("failed 3 times, the last with ValueError", FAILURE)),
        (ValueError(), 1, 2, 3, always, RetryAt(10.0, FAILURE)),
        (Retry(), 1, 0, 3, always, RetryAt(10.0, FAILURE)),
        (Retry(delay=4), 1, 0, 3, always, RetryAt(4.0, FAILURE)),
        (Retry(delay=0), 2, 0, 3, always, RetryAt(0.0, FAILURE)),
        (Retry(delay=4), 1, 0, 3, never, RetryAt(4.0, FAILURE)),
        (
            Retry(delay=4),
            3,
            0,
            3,
            always,
            Dead("failed 3 times, the last with ValueError", FAILURE),
        ),
        (Retry(delay=4, pause="flow"), 1, 0, 3, always, RetryAt(4.0, FAILURE, "flow")),
        (Snooze(5, pause="key"), 1, 0, 3, always, Snoozed(5.0, pause="key")),
        (
            ExceptionGroup("", [Retry(delay=9, pause="key"), Snooze(5, pause="flow")]),
            1,
            0,
            3,
            always,
            RetryAt(9.0, FAILURE, "flow"),
        ),
        (Snooze(5), 1, 0, 3, always, Snoozed(5.0)),
        (Snooze(5), 3, 0, 3, always, Snoozed(5.0)),
        (Snooze(5), 99, 0, 3, never, Snoozed(5.0)),
        (Discard("old"), 1, 0, 3, always, Dead("discarded: no", FAILURE)),
        (Discard("old"), 3, 0, 3, always, Dead("discarded: no", FAILURE)),
        # No date that PostgreSQL cannot hold: it would refuse the outcome again and again.
        (Snooze(1e300), 1, 0, 3, always, Snoozed(LONGEST_DELAY)),
        (Snooze(timedelta.max), 1, 0, 3, always, Snoozed(LONGEST_DELAY)),
        (Retry(delay=1e300), 1, 0, 3, always, RetryAt(LONGEST_DELAY, FAILURE)),
        (KeyboardInterrupt(), 1, 0, 3, always, RetryAt(10.0, FAILURE)),
    ],
)
def test_what_a_failed_attempt_comes_to(
    error: BaseException, attempt: int, crashes: int, most: int, policy: Any, outcome: Any
) -> None:
    decided = decide(
        error, FAILURE, attempt=attempt, crash_count=crashes, max_attempts=most, policy=policy
    )
    assert decided == outcome


@pytest.mark.parametrize(
    "policy",
    [
        Backoff(base=7, jitter=0, only_on=(OSError,)),
        Backoff(base=7, jitter=0, give_up_on=(Retry,)),
        Backoff(base=7, jitter=0, give_up_on=(Exception,)),
    ],
)
def test_no_policy_gives_up_on_a_retry(policy: Backoff) -> None:
    """The task asked for it; its delay is the policy's."""

    def of(error: BaseException, attempt: int) -> Any:
        return decide(error, FAILURE, attempt=attempt, crash_count=0, max_attempts=3, policy=policy)

    assert of(Retry(), 1) == RetryAt(7.0, FAILURE)
    assert of(Retry(), 2) == RetryAt(14.0, FAILURE)
    assert of(ExceptionGroup("", [Retry(), Snooze(5)]), 1) == RetryAt(7.0, FAILURE)
    assert isinstance(of(Retry(), 3), Dead)
    if policy.give_up_on != (Retry,):
        assert isinstance(of(ExceptionGroup("", [Retry(), ValueError()]), 1), Dead)


def test_a_retry_has_the_default_delay_where_a_policy_says_none() -> None:
    decided = decide(Retry(), FAILURE, attempt=2, crash_count=0, max_attempts=3, policy=never)
    assert isinstance(decided, RetryAt)
    assert 1.6 <= decided.delay <= 2.4


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf")])
def test_a_delay_that_is_none_is_refused(delay: float) -> None:
    with pytest.raises(ConfigError, match="delay must be a finite number of seconds"):
        Snooze(delay)
    with pytest.raises(ConfigError, match="delay must be a finite number of seconds"):
        Retry(delay=delay)


def test_the_table_of_moves() -> None:
    assert set(MOVES) == set(JobState)
    final = {state for state in JobState if state.is_final}
    assert final == {JobState.COMPLETED, JobState.CANCELLED, JobState.DEAD}
    assert MOVES[JobState.COMPLETED] == frozenset()
    for state, others in MOVES.items():
        assert state not in others
        if state.is_final:
            assert others <= {JobState.PENDING, JobState.BLOCKED}, (
                "only an operator moves a job that is over"
            )
    into_running = {state for state, others in MOVES.items() if JobState.RUNNING in others}
    assert into_running == {JobState.PENDING}
    reached = set().union(*MOVES.values())
    assert reached == set(JobState)


def test_a_pause_is_of_a_flow_or_a_key_and_has_a_delay() -> None:
    with pytest.raises(ConfigError, match=r"pause needs a delay; write Retry\(delay=30, pause='k"):
        Retry(pause="key")
    for kind in (Retry, Snooze):
        with pytest.raises(ConfigError, match="pause must be 'flow' or 'key', got 'all'"):
            kind(delay=1, pause="all")  # type: ignore[arg-type]  # pyright: ignore


def test_what_user_code_sets_as_a_pause_says_nothing() -> None:
    error = Retry(delay=4)
    error.pause = "all"  # type: ignore[assignment]  # pyright: ignore
    decided = decide(error, FAILURE, attempt=1, crash_count=0, max_attempts=3, policy=always)
    assert decided == RetryAt(4.0, FAILURE)
