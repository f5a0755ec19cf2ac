"""Every exception of the package.

The tree::

    PgQueueError
    ├── ConfigError (ValueError)         a setting, option or name is wrong
    │   └── UnknownTask                  no task, queue or setting of that name; says the nearest
    ├── PayloadError (TypeError)         arguments do not fit the task, or cannot be stored
    ├── SchemaError                      the schema is missing, too old, or newer in a breaking way
    ├── QueueFull                        a queue holds as many jobs as it may; none was enqueued
    ├── DatabaseError                    PostgreSQL refused, or could not be reached
    │   ├── Unreachable                  no connection could be had within the deadline
    │   │   └── PoolTimeout              all connections of the pool were in use; nothing was sent
    │   └── OutcomeUnknown               the connection broke while a commit was on its way
    ├── SyncInAsync (RuntimeError)       the blocking call was made inside a running event loop
    ├── NotInJob (RuntimeError)          current_job() was called where no job runs
    ├── LeaseLost                        this attempt's receipt is no longer valid; roll back
    ├── ProcessDied                      the child process that ran a job has ended
    └── EmbeddedError                    the embedded PostgreSQL could not be found or started

    Retry, Snooze, Discard               raised by a task to choose its own outcome (not errors)
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from datetime import timedelta
from typing import Literal

__all__ = [
    "ConfigError",
    "DatabaseError",
    "Discard",
    "EmbeddedError",
    "LeaseLost",
    "NotInJob",
    "OutcomeUnknown",
    "Pause",
    "PayloadError",
    "PgQueueError",
    "PoolTimeout",
    "ProcessDied",
    "QueueFull",
    "Retry",
    "SchemaError",
    "Snooze",
    "SyncInAsync",
    "UnknownTask",
    "Unreachable",
    "nearest",
    "shown",
]


class PgQueueError(Exception):
    """Whatever pgqueue itself raises."""


class ConfigError(PgQueueError, ValueError):
    """A setting, an option or a name that cannot be used: what, its value, and what would do."""


class UnknownTask(ConfigError):
    """No task of that name is registered; the message has the nearest one."""


class PayloadError(PgQueueError, TypeError):
    """Arguments that do not fit the task's signature or cannot be stored.

    A job whose stored arguments do not fit its worker's version of the task waits for another one.
    ``path`` names the offending value, as in ``$.order.lines[3].price``.
    """

    def __init__(self, message: str, *, path: str = "$") -> None:
        super().__init__(message)
        self.path = path


class SchemaError(PgQueueError):
    """The schema is missing, too old, or newer than this version: run ``pgqueue migrate``."""


class QueueFull(PgQueueError):
    """The queue holds as many ready jobs as its ``max_depth``, and nothing was enqueued.

    ``queue``: its name; ``depth``: how many were counted; ``limit``: how many may be. Where it is
    the line of a flow that is full, ``flow`` and ``key`` are not None. Try again later, or give
    ``wait``. Your transaction goes on; but a call of more than 5,000 jobs may make it fail.
    """

    def __init__(
        self,
        queue: str,
        depth: int | None,
        limit: int | None,
        *,
        flow: str | None = None,
        key: str | None = None,
    ) -> None:
        if flow is not None:
            of_key = f' of key "{key}"' if key else ""
            what = (
                f'flow "{flow}" has no room for this call: {depth} jobs{of_key} wait, and '
                f"max_waiting is {limit}"
            )
        elif depth is None:
            what = f'queue "{queue}" was full a moment ago'
        else:
            what = f'queue "{queue}" is full: {depth} jobs are ready, and its max_depth is {limit}'
        super().__init__(f"{what}; nothing was enqueued")
        self.queue, self.depth, self.limit = queue, depth, limit
        self.flow, self.key = flow, key


class DatabaseError(PgQueueError):
    """PostgreSQL refused a statement, or could not be reached."""


class Unreachable(DatabaseError):
    """No usable connection within the deadline: nothing was sent, so that trying again is safe."""


class PoolTimeout(Unreachable):
    """All connections of the pool stayed in use for as long as a call waits. Nothing was sent."""


class OutcomeUnknown(DatabaseError):
    """The connection broke while the statement or its commit was on its way.

    It may have been carried out. Ask the database, or enqueue again with the same ``unique_key``.
    """


class SyncInAsync(PgQueueError, RuntimeError):
    """A blocking call inside a running event loop would stop the loop: use its async twin."""


class NotInJob(PgQueueError, RuntimeError):
    """``current_job()`` was called where no job runs: outside of a worker, or in another thread."""


class LeaseLost(PgQueueError):
    """The receipt of this attempt is no longer valid: another attempt owns the job, or it is over.

    Raised inside ``job.transaction()`` so that everything written there rolls back.
    """


class EmbeddedError(PgQueueError):
    """The embedded PostgreSQL could not be found, started or joined."""


class _Verdict(Exception):
    """Base of what a task raises to choose its own outcome."""


def _seconds(value: float | timedelta | None, what: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, timedelta)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"{what} must be seconds or a timedelta, got {value!r}")
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"{what} must be a finite number of seconds, 0 or more; got {value!r}")
    return seconds


Pause = Literal["flow", "key"]
"""What admits no job for as long as a delay: the whole flow, or the job's key of it."""


def _pause(value: object) -> Pause | None:
    if value not in (None, "flow", "key"):
        raise ConfigError(f"pause must be 'flow' or 'key', got {value!r}")
    return value


class ProcessDied(PgQueueError):
    """The child process that ran the job has ended: how, and by which signal or exit code.

    What a job of a task with ``executor="process"`` failed with; its retry policy is asked.
    """


class Retry(_Verdict):
    """Try this job again after ``delay`` seconds (or the policy's delay); uses up the attempt.

    ``pause``: until then no other job of its "flow" begins, or of its "key" there, as a server asks
    for by Retry-After. Without a flow it says nothing.
    """

    def __init__(
        self,
        reason: str = "",
        *,
        delay: float | timedelta | None = None,
        pause: Pause | None = None,
    ) -> None:
        if isinstance(reason, (int, float, timedelta)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"reason must be a string, got {reason!r}; write Retry(delay=...)")
        if pause is not None and delay is None:
            raise ConfigError(f"pause needs a delay; write Retry(delay=30, pause={pause!r})")
        super().__init__(reason or "retry requested")
        self.delay = _seconds(delay, "delay")
        self.pause = _pause(pause)


class Snooze(_Verdict):
    """Put this job off for ``delay`` seconds without using up an attempt.

    ``pause``: as that of Retry.
    """

    def __init__(self, delay: float | timedelta, *, pause: Pause | None = None) -> None:
        seconds = _seconds(delay, "delay")
        assert seconds is not None
        super().__init__(f"snoozed for {seconds:g} s")
        self.delay = seconds
        self.pause = _pause(pause)


class Discard(_Verdict):
    """Stop trying: the job becomes a dead letter with this reason, whatever attempts are left."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def nearest(wrong: str, known: Iterable[str]) -> str:
    """Return ``; did you mean "x"?`` for the closest known name, or an empty string."""
    close = difflib.get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def shown(value: object) -> str:
    """Return a repr of at most 80 characters; it never raises, whatever the value's own does."""
    try:
        text = _repr.repr(value)
    except Exception:
        return "(its repr fails)"
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


_LONGEST_SHOWN = 80
_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = _LONGEST_SHOWN
