"""What an attempt came to, and the one place that decides it."""

from __future__ import annotations

from dataclasses import dataclass

from pgqueue.config import LONGEST_DELAY
from pgqueue.errors import Discard, Retry, Snooze
from pgqueue.failure import Failure
from pgqueue.retry import RetryPolicy, delay_of

__all__ = [
    "CANCELLED",
    "DONE",
    "RELEASED",
    "Cancelled",
    "Dead",
    "Done",
    "Outcome",
    "Released",
    "RetryAt",
    "Snoozed",
    "decide",
]


@dataclass(frozen=True, slots=True)
class Done:
    """The task returned."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again in ``delay`` seconds."""

    delay: float
    failure: Failure


@dataclass(frozen=True, slots=True)
class Snoozed:
    """Run again in ``delay`` seconds; the attempt does not count."""

    delay: float


@dataclass(frozen=True, slots=True)
class Released:
    """Given back as it was: not started, or interrupted by a stop. The attempt does not count."""


@dataclass(frozen=True, slots=True)
class Dead:
    """A dead letter, until somebody redrives it."""

    reason: str
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Stopped because somebody asked for it."""


Outcome = Done | RetryAt | Snoozed | Released | Dead | Cancelled
DONE = Done()
RELEASED = Released()
CANCELLED = Cancelled()


def decide(
    error: BaseException,
    failure: Failure,
    *,
    attempt: int,
    crash_count: int,
    max_attempts: int,
    policy: RetryPolicy,
) -> RetryAt | Snoozed | Dead:
    """Say what a failed attempt comes to. Crashes do not count against ``max_attempts``."""
    tried = attempt - crash_count
    match error:
        case Snooze() if (delay := _span(error.delay)) is not None:
            return Snoozed(delay)
        case Discard():
            return Dead(f"discarded: {failure.message}", failure)
        case Retry() if tried < max_attempts and (delay := _span(error.delay)) is not None:
            return RetryAt(delay, failure)
        case _:
            pass
    if tried >= max_attempts:
        return Dead(f"failed {tried} times, the last with {failure.type}", failure)
    delay = delay_of(policy, max(tried, 1), error)
    if delay is None:
        return Dead(f"{failure.type} is not tried again", failure)
    return RetryAt(delay, failure)


def _span(delay: object) -> float | None:
    """Return the delay, cut to the longest; None where user code has set what is no span."""
    if isinstance(delay, (int, float)) and delay >= 0:  # not a number is not
        return min(delay, LONGEST_DELAY)
    return None
