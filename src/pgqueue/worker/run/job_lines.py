"""What the log says about one job, as values: nothing here is written, and no clock is read."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgqueue.failure import MISFIT, Failure
from pgqueue.outcome import CANCELLED, RELEASED, Dead, RetryAt, Snoozed
from pgqueue.worker.run.verdict import Verdict

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["Line", "Times", "completed", "ended", "labels"]


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one attempt: from when it was due to its start, if known, and to its end."""

    wait: float | None
    duration: float

    def fields(self) -> dict[str, Any]:
        """Return them for the fields of a record, to the microsecond."""
        wait = {} if self.wait is None else {"wait": round(self.wait, 6)}
        return {**wait, "duration": round(self.duration, 6)}


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its level, its message and the arguments of that, its fields.

    ``is_failure``: the traceback belongs to it, and it is written however many there are.
    """

    level: int
    message: str
    args: tuple[Any, ...]
    fields: Mapping[str, Any]
    is_failure: bool = False


def labels(record: Record | Mapping[str, Any]) -> dict[str, Any]:
    """Return which job a line is about."""
    return {
        "job_id": record["id"],
        "task": record["task"],
        "queue": record["queue"],
        "attempt": record["attempt"],
    }


def completed(record: Record | Mapping[str, Any], times: Times) -> Line:
    """The task returned, or its transaction has completed the job."""
    message = "job %d (%s) completed in %.3f s, attempt %d of %d"
    args = (
        record["id"], record["task"], times.duration, record["attempt"], record["max_attempts"],
    )  # fmt: skip
    if times.wait is not None:
        message += ", after a wait of %.3f s"
        args += (times.wait,)
    fields = {**labels(record), "outcome": "completed", **times.fields()}
    return Line(logging.INFO, message, args, fields)


def ended(record: Record | Mapping[str, Any], verdict: Verdict, times: Times) -> Line | None:
    """It did not return, or did not run; None if there is nothing to say."""
    match verdict.outcome, verdict.failure:
        case Dead(reason=reason), Failure() as failure:
            return _failed(record, failure, times, "dead", f"dead: {reason}")
        case Dead(reason=reason), None:
            return _plain(record, times, "dead", logging.ERROR, reason)
        case RetryAt(delay=delay), Failure() as failure:
            return _failed(record, failure, times, "retry", f"retry in {delay:.3g} s")
        case Snoozed(delay=delay), Failure() as failure:
            level = logging.DEBUG if failure.type == MISFIT else logging.INFO
            return _plain(record, times, "snoozed", level, f"for {delay:.3g} s: {_first(failure)}")
        case _ if verdict.expired:
            return _plain(record, times, "cancelled", logging.INFO, "it had expired")
        case outcome, _ if outcome is CANCELLED:
            return _plain(record, times, "cancelled", logging.INFO)
        case outcome, _ if outcome is RELEASED:
            return _plain(record, times, "released", logging.INFO, "this attempt does not count")
        case _:
            return None


def _plain(
    record: Record | Mapping[str, Any], times: Times, what: str, level: int, more: str = ""
) -> Line:
    return Line(
        level,
        "job %d (%s) %s after %.3f s in attempt %d of %d%s",
        (
            record["id"], record["task"], what, times.duration, record["attempt"],
            record["max_attempts"], more and f", {more}",
        ),
        {**labels(record), "outcome": what, **times.fields()},
    )  # fmt: skip


def _failed(
    record: Record | Mapping[str, Any], failure: Failure, times: Times, outcome: str, then: str
) -> Line:
    return Line(
        logging.ERROR if outcome == "dead" else logging.WARNING,
        "job %d (%s) failed in attempt %d of %d after %.3f s: %s: %s; %s",
        (
            record["id"], record["task"], record["attempt"], record["max_attempts"],
            times.duration, failure.type, _first(failure), then,
        ),
        {
            **labels(record), "outcome": outcome, **times.fields(), "error_type": failure.type,
        },
        is_failure=True,
    )  # fmt: skip


def _first(failure: Failure) -> str:
    return failure.message.partition("\n")[0]
