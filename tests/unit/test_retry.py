"""Backoff: bounded for any attempt, and safe from whatever a policy answers."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgqueue.config import LONGEST_DELAY
from pgqueue.errors import ConfigError
from pgqueue.retry import Backoff, check_policy, delay_of

ERROR = ValueError("no")
seconds = st.floats(0, LONGEST_DELAY)
attempts = st.one_of(st.integers(-1, 1100), st.integers(0, 10**6), st.sampled_from([10**6, 2**63]))


@pytest.mark.past_bug(93)
@given(seconds, st.floats(1, 1000), seconds, st.floats(0, 1), attempts, st.floats(0, 1))
def test_a_delay_is_within_its_bounds(
    base: float, factor: float, cap: float, jitter: float, attempt: int, rand: float
) -> None:
    delay = Backoff(base, factor, cap, jitter).delay(attempt, lambda: rand)
    assert math.isfinite(delay)
    assert 0 <= delay <= cap
    if base == 0:
        assert delay == 0


@pytest.mark.past_bug(93)
@given(seconds, st.floats(1, 1000), seconds, st.integers(1, 2000))
def test_delays_never_shrink(base: float, factor: float, cap: float, attempt: int) -> None:
    backoff = Backoff(base, factor, cap, jitter=0.0)
    assert backoff.delay(attempt) <= backoff.delay(attempt + 1)


@pytest.mark.past_bug(93)
def test_every_attempt_up_to_a_million() -> None:
    backoff = Backoff(jitter=0.0)
    wanted = [min(2.0 ** max(n - 1, 0), 3600.0) for n in range(20)]
    assert [backoff.delay(n) for n in range(20)] == wanted
    assert all(backoff.delay(n) == 3600.0 for n in range(20, 10**6, 997))


@pytest.mark.parametrize("rand", [0.0, 0.25, 0.5, 1.0])
def test_jitter_spreads_evenly_around_the_delay(rand: float) -> None:
    delay = Backoff(base=10, factor=1, cap=100, jitter=0.5).delay(3, lambda: rand)
    assert delay == pytest.approx(10 * (0.5 + rand))


def test_the_first_attempt_waits_for_the_base() -> None:
    assert Backoff(base=7, jitter=0).delay(1) == 7
    assert Backoff(base=7, jitter=0).delay(0) == 7


def test_spans_may_be_timedeltas() -> None:
    backoff = Backoff(base=timedelta(seconds=2), cap=timedelta(minutes=1), jitter=0)  # type: ignore[arg-type]
    assert [backoff.delay(n) for n in (1, 3, 9)] == [2.0, 8.0, 60.0]
    assert delay_of(backoff, 3, ERROR) == 8.0


def test_errors_that_are_not_tried_again() -> None:
    assert Backoff(give_up_on=(ValueError,))(1, ERROR) is None
    assert Backoff(give_up_on=(KeyError,))(1, ERROR) is not None
    assert Backoff(only_on=(KeyError,))(1, ERROR) is None
    assert Backoff(only_on=(ValueError,))(1, ERROR) is not None
    assert Backoff(give_up_on=[ValueError])(1, ERROR) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"base": -1}, "base must be from 0 to"),
        ({"base": math.nan}, "base must be from 0 to"),
        ({"base": "1"}, "base must be seconds or a timedelta, got '1'"),
        ({"cap": math.inf}, "cap must be from 0 to"),
        ({"cap": 10**400}, "cap must be from 0 to"),
        ({"factor": 0.5}, "factor must be from 1 to 1000, got 0.5"),
        ({"factor": math.nan}, "factor must be from 1 to 1000, got nan"),
        ({"factor": "2"}, "factor must be from 1 to 1000, got '2'"),
        ({"factor": True}, "factor must be from 1 to 1000, got True"),
        ({"jitter": 1.1}, "jitter must be from 0 to 1, got 1.1"),
        ({"jitter": None}, "jitter must be from 0 to 1, got None"),
        ({"give_up_on": ValueError}, r"write \(ValueError,\)"),
        ({"give_up_on": "ValueError"}, "give_up_on must be a tuple of exception types"),
        ({"only_on": (ValueError, int)}, "only_on must hold exception types, got <class 'int'>"),
        ({"only_on": (ValueError(),)}, "only_on must hold exception types, got ValueError()"),
    ],
)
def test_a_wrong_backoff_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Backoff(**options)


def raises(attempt: int, error: BaseException) -> float:
    raise RuntimeError("a policy of its own")


@pytest.mark.parametrize(
    "policy",
    [
        raises,
        *(lambda a, e, v=v: v for v in (-1, math.nan, math.inf, "5", True, 10**400, object())),
    ],
)
def test_a_policy_that_answers_nonsense_means_the_default(policy: Any) -> None:
    delay = delay_of(policy, 3, ERROR)
    assert delay is not None
    assert 0 <= delay <= 3600


def test_what_a_policy_answers() -> None:
    assert delay_of(lambda a, e: None, 1, ERROR) is None
    assert delay_of(lambda a, e: 0, 1, ERROR) == 0
    assert delay_of(lambda a, e: timedelta(minutes=a), 3, ERROR) == 180


def one(error: BaseException) -> float:
    return 1.0


async def awaited(attempt: int, error: BaseException) -> float:
    return 1.0


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (one, "which takes other arguments"),
        (lambda: 1.0, "which takes other arguments"),
        (awaited, "which is async; write def"),
        (Backoff, "got the class Backoff; write Backoff\\(\\)"),
        (True, "got True; how often is max_attempts=N"),
    ],
)
def test_a_policy_that_cannot_be_asked_is_refused(policy: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_policy(policy)


def test_a_policy_without_a_signature_is_taken() -> None:
    for policy in (max, Backoff(), lambda *_: 1.0):
        assert check_policy(policy) is policy


def test_the_first_fault_of_a_policy_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def broken(attempt: int, error: BaseException) -> float:
        raise NameError("name 'CardRefused' is not defined")

    assert delay_of(broken, 1, ERROR) is not None
    assert delay_of(broken, 2, ERROR) is not None
    assert [record.getMessage() for record in caplog.records] == [
        "a retry policy failed, and the default decides in its place: "
        "NameError: name 'CardRefused' is not defined"
    ]
