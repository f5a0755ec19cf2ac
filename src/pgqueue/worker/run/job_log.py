"""The lines that the log gets about single jobs. None of them may fail: handlers are the user's."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

from pgqueue.failure import describe
from pgqueue.outcome import Dead, RetryAt, Snoozed
from pgqueue.worker.run.verdict import Verdict
from pgqueue.worker.seldom import Seldom

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["JobLog"]

log = logging.getLogger("pgqueue.worker")


class JobLog:
    """Writes one line for each attempt that fails; for successes only at the level of debugging."""

    def __init__(self) -> None:
        self._waited = Seldom()

    def succeeded(self, record: Record) -> None:
        """The task returned."""
        with contextlib.suppress(Exception):
            log.debug(
                "job %d (%s) succeeded in attempt %d of %d",
                record["id"], record["task"], record["attempt"], record["max_attempts"],
                extra=_labels(record),
            )  # fmt: skip

    def ended(self, record: Record, verdict: Verdict) -> None:
        """It raised or was refused, and this is what comes of it."""
        with contextlib.suppress(Exception):
            if verdict.waited:
                self._waited_in_vain(record, verdict)
            elif verdict.failure is not None:
                _failed(record, verdict)
            elif verdict.expired:
                log.info(
                    "job %d (%s) expired before it began, and is cancelled",
                    record["id"], record["task"],
                    extra=_labels(record),
                )  # fmt: skip

    def raised_after_completion(self, record: Record, error: BaseException) -> None:
        """Its transaction has committed, and the handler raised after that."""
        with contextlib.suppress(Exception):
            log.warning(
                "job %d (%s) is completed, but raised after its transaction: %s",
                record["id"], record["task"], describe(error).message, exc_info=error,
            )  # fmt: skip

    def thread_goes_on(self, record: Record, why: str | None) -> None:
        """It should end, and a thread cannot be made to."""
        with contextlib.suppress(Exception):
            log.warning(
                "job %d (%s) was told to end (%s); its thread goes on and keeps its slot",
                record["id"], record["task"], why,
            )  # fmt: skip

    def ended_late(self, record: Record, error: BaseException) -> None:
        """A thread raised whose attempt was over long before."""
        with contextlib.suppress(Exception):
            failure = describe(error)
            log.info(
                "job %d (%s), long given up, raised %s: %s",
                record["id"], record["task"], failure.type, failure.message,
            )  # fmt: skip

    def _waited_in_vain(self, record: Record, verdict: Verdict) -> None:
        """Once in a while: where one job waits, many do."""
        count = self._waited.count()
        if not count:
            return
        log.warning(
            "job %d (%s) waited in vain and is put off, no attempt is counted (%d such since the "
            "last such line): %s",
            record["id"], record["task"], count,
            "" if verdict.failure is None else verdict.failure.message.partition("\n")[0],
            extra=_labels(record),
        )  # fmt: skip


def _labels(record: Record) -> dict[str, Any]:
    return {
        "job_id": record["id"],
        "task": record["task"],
        "queue": record["queue"],
        "attempt": record["attempt"],
    }


def _failed(record: Record, verdict: Verdict) -> None:
    failure = verdict.failure
    assert failure is not None
    match verdict.outcome:
        case Snoozed():
            log.debug("job %d (%s) snoozed: %s", record["id"], record["task"], failure.message)
            return
        case Dead(reason=reason):
            then, level = f"dead: {reason}", logging.ERROR
        case RetryAt(delay=delay):
            then, level = f"retry in {delay:.3g} s", logging.WARNING
        case _:
            then, level = "", logging.INFO
    log.log(
        level,
        "job %d (%s) failed in attempt %d of %d: %s: %s; %s",
        record["id"], record["task"], record["attempt"], record["max_attempts"],
        failure.type, failure.message.partition("\n")[0], then,
        extra={**_labels(record), "error_type": failure.type},
    )  # fmt: skip
