"""What an attempt comes to that raised: from what it was told, and from what came out of it.

| told to end by        | raised CancelledError   | raised another    |
|-----------------------|-------------------------|-------------------|
| nobody                | a failure               | a failure         |
| timeout               | a failure, TimeoutError | a failure         |
| timeout, in a wait    | put off                 | a failure         |
| a cancel request      | cancelled               | cancelled         |
| a stop of the worker  | released                | a failure         |
| the loss of its lease | nothing                 | nothing           |

A failure is what the job's own verdict (Retry, Snooze, Discard) or its policy makes of it, but for
one: an attempt that only waited in vain for a connection of ours is put off, and does not count. At
a stop it is released.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pgqueue.db.waits import NotBegun
from pgqueue.errors import PgQueueError, PoolTimeout
from pgqueue.failure import Failure, describe
from pgqueue.outcome import CANCELLED, RELEASED, Outcome, decide
from pgqueue.retry import Backoff
from pgqueue.worker.put_off import put_off

if TYPE_CHECKING:
    from asyncpg import Record

    from pgqueue.task import Task

__all__ = ["Verdict", "judge", "only_waited"]

_LOOKED_AT = 1_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome and the failure behind it, if any. ``waited``: it waited in vain."""

    outcome: Outcome
    failure: Failure | None = None
    waited: bool = False


def judge(
    why: str | None,
    error: BaseException,
    record: Record | Mapping[str, Any],
    task: Task[..., Any],
) -> Verdict | None:
    """Return what the attempt comes to; None if its outcome is nobody's any more."""
    if why == "lost":
        return None
    if why == "cancelled":
        return Verdict(CANCELLED)
    # By its type: __class__ may be a property of the user's, and raise.
    if issubclass(type(error), asyncio.CancelledError):
        if why == "stop":
            return Verdict(RELEASED)
        if why == "waiting":
            over = "its time was over while it waited for a connection of the app"
            return Verdict(put_off(), Failure("TimeoutError", over, ""), waited=True)
        if why == "timeout":
            timeout = record["timeout_seconds"] or task.timeout
            error = TimeoutError(
                f"it ran for longer than its timeout of {timeout:g} s"
            ).with_traceback(error.__traceback__)
    counts = {name: record[name] for name in ("attempt", "crash_count", "max_attempts")}
    try:
        failure = describe(error)
        if only_waited(error):
            outcome = RELEASED if why == "stop" else put_off()
            return Verdict(outcome, failure, waited=True)
        return Verdict(decide(error, failure, **counts, policy=task.retry), failure)
    except BaseException as odd:
        failure = Failure("Error", f"it cannot be looked at: {type(odd).__name__}", "")
        return Verdict(decide(RuntimeError(), failure, **counts, policy=Backoff()), failure)


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
