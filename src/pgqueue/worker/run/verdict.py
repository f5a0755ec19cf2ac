"""What is written of an attempt that raised: the table of settle, and the error, say it.

A failure is what the job's own verdict (Retry, Snooze, Discard) or its policy makes of it. What is
put off comes again in a moment, and the attempt does not count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pgqueue.db.waits import NotBegun
from pgqueue.errors import PgQueueError, PoolTimeout
from pgqueue.failure import Failure, describe
from pgqueue.outcome import CANCELLED, RELEASED, Outcome, decide
from pgqueue.retry import Backoff
from pgqueue.worker.put_off import PUT_OFF, PutOff
from pgqueue.worker.run.settle import Decision, Ended, Told, settle

if TYPE_CHECKING:
    from asyncpg import Record

    from pgqueue.task import Task

__all__ = ["Verdict", "ended_by", "judge", "only_waited"]

_LOOKED_AT = 1_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome and the failure behind it, if any.

    ``waited``: it waited in vain. ``expired``: it was not begun in time. ``error``: what was
    raised, or what a timeout makes of it.
    """

    outcome: Outcome
    failure: Failure | None = None
    waited: bool = False
    expired: bool = False
    error: BaseException | None = field(default=None, compare=False)


def judge(
    told: Told,
    error: BaseException,
    record: Record | Mapping[str, Any],
    task: Task[..., Any],
    put_off: PutOff = PUT_OFF,
) -> Verdict | None:
    """Return what the attempt comes to; None if there is nothing to write."""
    ended = ended_by(error)
    decision = settle(told, ended)
    match decision:
        case Decision.NOTHING:
            return None
        case Decision.CANCELLED:
            return Verdict(CANCELLED)
        case Decision.RELEASED if ended is Ended.CANCELLED:
            return Verdict(RELEASED)
        case Decision.PUT_OFF if ended is Ended.CANCELLED:
            over = "its time was over while it waited for a connection of the app"
            return Verdict(put_off.a_moment(), Failure("TimeoutError", over, ""), waited=True)
        case Decision.TIMED_OUT:
            timeout = record["timeout_seconds"] or task.timeout
            error = TimeoutError(
                f"it ran for longer than its timeout of {timeout:g} s"
            ).with_traceback(error.__traceback__)
        case _:
            pass
    counts = {name: record[name] for name in ("attempt", "crash_count", "max_attempts")}
    try:
        failure = describe(error)
        if ended is Ended.WAITED:
            outcome = RELEASED if decision is Decision.RELEASED else put_off.a_moment()
            return Verdict(outcome, failure, waited=True)
        outcome = decide(error, failure, **counts, policy=task.retry)
        return Verdict(outcome, failure, error=error)
    except BaseException as odd:
        failure = Failure("Error", f"it cannot be looked at: {type(odd).__name__}", "")
        return Verdict(decide(RuntimeError(), failure, **counts, policy=Backoff()), failure)


def ended_by(error: BaseException) -> Ended:
    """Return how a job ended that raised this error."""
    # By its type: __class__ may be a property of the user's, and raise.
    if issubclass(type(error), asyncio.CancelledError):
        return Ended.CANCELLED
    try:
        return Ended.WAITED if only_waited(error) else Ended.RAISED
    except BaseException:  # its cause may be a property of the user's
        return Ended.RAISED


def only_waited(error: BaseException) -> bool:
    """True if nothing came out of a handler but that it could not have a connection of ours.

    It may be the cause of another error of ours, or all that is in a group.
    """
    left = [error]
    for _ in range(_LOOKED_AT):
        if not left:
            return True
        one = left.pop()
        kind = cast("type[BaseException]", type(one))
        if issubclass(kind, (PoolTimeout, NotBegun)):
            continue
        if issubclass(kind, BaseExceptionGroup):
            left += _exceptions(one)
        elif issubclass(kind, PgQueueError) and one.__cause__ is not None:
            left.append(one.__cause__)
        else:
            return False
    return False


_exceptions: Any = BaseExceptionGroup.exceptions.__get__  # type: ignore[attr-defined]
