"""What an attempt came to, and the one place that decides it."""

from __future__ import annotations

from dataclasses import dataclass

from pgqueue.config import LONGEST_DELAY
from pgqueue.errors import Discard, Pause, Retry, Snooze
from pgqueue.failure import Failure, describe
from pgqueue.groups import leaves
from pgqueue.retry import RetryPolicy, delay_of, delay_when_asked

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
    """Try again in ``delay`` seconds. ``pause``: what admits nothing until then."""

    delay: float
    failure: Failure
    pause: Pause | None = None


@dataclass(frozen=True, slots=True)
class Snoozed:
    """Run again in ``delay`` seconds; the attempt does not count. A failure joins its errors.

    ``pause``: what admits nothing until then.
    """

    delay: float
    failure: Failure | None = None
    pause: Pause | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """Released as it was: not started, or interrupted by a stop. The attempt does not count."""


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
    """Say what a failed attempt comes to. Crashes do not count against ``max_attempts``.

    Of several errors in a group, the one that says most counts: a Discard before an error that the
    policy gives up on, that before a Retry with a delay, that before other errors, and a Snooze
    last, as it costs no attempt. Of several delays the longest counts, and of several pauses that
    of the whole flow. No policy gives up on a Retry: without a delay of its own it has the
    policy's.
    """
    tried = attempt - crash_count
    snoozes: list[float] = []
    retries: list[float] = []
    others: list[BaseException] = []
    pauses = set[Pause | None]()
    for part in leaves(error):
        kind = type(part)
        if issubclass(kind, Discard):
            said = failure if part is error else describe(part)
            return Dead(f"discarded: {said.message}", failure)
        delay = _span(part) if issubclass(kind, (Snooze, Retry)) else None
        if delay is None:
            others.append(part)
            continue
        pauses.add(_pause(part))
        (snoozes if issubclass(kind, Snooze) else retries).append(delay)
    pause: Pause | None = next((which for which in _PAUSES if which in pauses), None)
    if snoozes and not retries and not others:
        return Snoozed(max(snoozes), pause=pause)
    if tried >= max_attempts:
        times = "once," if tried == 1 else f"{tried} times, the last"
        return Dead(f"failed {times} with {failure.type}", failure)
    delays: list[float] = []
    for part in others:
        asked = issubclass(type(part), (Retry, Snooze))
        delay = (delay_when_asked if asked else delay_of)(policy, max(tried, 1), part)
        if delay is None:
            said = failure if part is error else describe(part)
            return Dead(f"{said.type} is not tried again", failure)
        delays.append(delay)
    return RetryAt(max(retries or delays), failure, pause)


_PAUSES: tuple[Pause, ...] = ("flow", "key")


def _pause(error: BaseException) -> Pause | None:
    """Return its pause; None where user code has set what is none."""
    try:
        pause: object = error.pause  # type: ignore[attr-defined]
        return next((which for which in _PAUSES if which == pause), None)
    except BaseException:  # it may be a property of the user's
        return None


def _span(error: BaseException) -> float | None:
    """Return its delay, cut to the longest; None where user code has set what is no span."""
    try:
        delay: object = error.delay  # type: ignore[attr-defined]
        if isinstance(delay, (int, float)) and delay >= 0:  # not a number is not
            return min(delay, LONGEST_DELAY)
    except BaseException:  # it may be a property of the user's
        return None
    return None
