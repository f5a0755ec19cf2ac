"""What a group of errors comes to, case by case: asyncio.TaskGroup raises nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pgqueue import Backoff
from pgqueue.errors import ConfigError, Discard, Retry, Snooze
from pgqueue.failure import Failure, describe
from pgqueue.groups import MOST, leaves
from pgqueue.outcome import Dead, RetryAt, Snoozed, decide


class Permanent(Exception):
    pass


class Rude(ExceptionGroup[Exception]):
    """Its members cannot be had by name, and it is of no class that can be asked for."""

    @property
    def exceptions(self) -> Any:
        raise SystemExit

    @property
    def __class__(self) -> Any:
        raise SystemExit


class Delayless(Snooze):
    @property
    def delay(self) -> float:  # type: ignore[override]
        raise SystemExit

    @delay.setter
    def delay(self, value: float) -> None:
        pass


def group(*errors: BaseException) -> BaseException:
    return BaseExceptionGroup("several", errors)


def nested(depth: int, error: BaseException) -> BaseException:
    for _ in range(depth):
        error = group(error)
    return error


def waits(attempt: int, error: BaseException) -> float | None:
    """A policy: give up on what is permanent; an OSError waits for longer than others."""
    if isinstance(error, Permanent):
        return None
    return 60.0 if isinstance(error, OSError) else 10.0


def outcome(error: BaseException, attempt: int = 1, policy: Any = waits) -> Any:
    return decide(
        error, describe(error), attempt=attempt, crash_count=0, max_attempts=3, policy=policy
    )


RETRIED = {
    "an error": (group(ValueError()), 10.0),
    "errors: the longest wait": (group(ValueError(), OSError(), KeyError()), 60.0),
    "a Retry": (group(Retry(delay=4)), 4.0),
    "Retries: the longest delay": (group(Retry(delay=4), Retry(delay=7), Retry(delay=5)), 7.0),
    "a Retry without a delay": (group(Retry()), 10.0),
    "a Retry, and one without a delay": (group(Retry(), Retry(delay=4)), 4.0),
    "a Retry before errors": (group(OSError(), Retry(delay=4)), 4.0),
    "a Retry before a Snooze": (group(Snooze(5), Retry(delay=4)), 4.0),
    "an error before a Snooze": (group(Snooze(5), ValueError()), 10.0),
    "a Snooze without a delay is an error": (group(Delayless(1)), 10.0),
    "a rude group": (Rude("rude", [OSError()]), 60.0),
    "a cancel that is not ours": (group(asyncio.CancelledError()), 10.0),
    "too deep": (nested(2 * MOST, Permanent()), 10.0),
}


@pytest.mark.parametrize("name", RETRIED)
def test_a_group_that_is_tried_again(name: str) -> None:
    error, delay = RETRIED[name]
    assert outcome(error) == RetryAt(delay, describe(error))
    dead = outcome(error, attempt=3)
    assert isinstance(dead, Dead)
    assert dead.reason.startswith("failed 3 times, the last with ")


DEAD = {
    "a Discard": (group(Discard("stolen")), "discarded: stolen"),
    "a Discard before what is given up": (
        group(Permanent("x"), Discard("stolen")),
        "discarded: stolen",
    ),
    "a Discard before a Retry": (group(Retry(delay=4), Discard("stolen")), "discarded: stolen"),
    "a Discard before a Snooze": (group(Snooze(5), Discard("stolen")), "discarded: stolen"),
    "the first Discard": (group(Discard("one"), Discard("two")), "discarded: one"),
    "a nested Discard": (
        group(ValueError(), nested(50, Discard("stolen"))),
        "discarded: stolen",
    ),
    "a Discard among many": (
        group(*[ValueError()] * (MOST - 1), Discard("stolen")),
        "discarded: stolen",
    ),
    "given up": (group(Permanent()), "Permanent is not tried again"),
    "given up among others": (group(OSError(), Permanent()), "Permanent is not tried again"),
    "given up before a Retry": (
        group(Retry(delay=4), Permanent()),
        "Permanent is not tried again",
    ),
    "given up before a Snooze": (group(Snooze(4), Permanent()), "Permanent is not tried again"),
}


@pytest.mark.parametrize("name", DEAD)
def test_a_group_that_is_not_tried_again(name: str) -> None:
    error, reason = DEAD[name]
    dead = outcome(error)
    assert isinstance(dead, Dead)
    assert dead.reason.removeprefix(f"{__name__}.") == reason
    assert dead.failure == describe(error)


@pytest.mark.parametrize("attempt", [1, 3, 99])
def test_a_group_of_nothing_but_snoozes_costs_no_attempt(attempt: int) -> None:
    assert outcome(group(Snooze(5), group(Snooze(9))), attempt=attempt) == Snoozed(9.0)


def test_backoff_looks_at_each_error() -> None:
    giving_up = Backoff(give_up_on=(Permanent,))
    assert isinstance(outcome(group(ValueError(), Permanent()), policy=giving_up), Dead)
    assert isinstance(outcome(group(ValueError(), KeyError()), policy=giving_up), RetryAt)
    only = Backoff(only_on=(OSError,))
    assert isinstance(outcome(group(OSError(), ConnectionError()), policy=only), RetryAt)
    assert isinstance(outcome(group(OSError(), ValueError()), policy=only), Dead)


@pytest.mark.parametrize("name", ["give_up_on", "only_on"])
def test_backoff_refuses_the_type_of_a_group(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} holds ExceptionGroup, .*name their types"):
        Backoff(**{name: (ExceptionGroup,)})
    Backoff(**{name: (Exception, BaseException)})


def test_what_is_said_of_a_group_is_what_is_said_of_its_first_error() -> None:
    async def broken(error: Exception) -> None:
        raise error

    async def several(*errors: Exception) -> None:
        async with asyncio.TaskGroup() as tasks:
            for error in errors:
                tasks.create_task(broken(error))

    def said(*errors: Exception) -> Failure:
        with pytest.raises(BaseExceptionGroup) as caught:
            asyncio.run(several(*errors))
        return describe(caught.value)

    one = said(ValueError("no card"))
    assert (one.type, one.message) == ("ValueError", "no card")
    inner, outer = one.traceback.split("\nwhich was in a group:\n\n")
    assert inner.endswith("in broken\n    raise error\nValueError: no card\n")
    assert "ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)\n" in outer

    three = said(Snooze(5), ValueError("no card"), KeyError("id"))
    assert (three.type, three.message) == ("ValueError", "no card (and 2 more in its group)")
    assert "  in the group: KeyError: 'id'\n" in three.traceback


def test_leaves_are_in_order_and_bounded() -> None:
    a, b, c = ValueError("a"), ValueError("b"), ValueError("c")
    assert leaves(a) == [a]
    assert leaves(group(a, group(b), c)) == [a, b, c]
    assert leaves(group(group(a, b), c)) == [a, b, c]
    assert len(leaves(group(*[a] * 5 * MOST))) == MOST
    deep = nested(5 * MOST, a)
    assert leaves(deep) == [deep]
