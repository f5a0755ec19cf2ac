"""Says in every record that a job logs which job that is, for all handlers there are.

A filter of each handler does so: it costs nothing where nothing is logged, and ``extra`` of the
user's may have the same names, which a factory of records would not allow. A job in a thread, and
the tasks that it starts, have its context.
"""

from __future__ import annotations

import contextlib
import logging
import os

from pgqueue.observe.aside import revive
from pgqueue.observe.lines import is_ours
from pgqueue.running import CURRENT, RunningJob

__all__ = ["JobFields", "fields_of", "process_name", "upkeep"]


def process_name() -> str:
    """Return the host and the number of this process, as people are told of a worker."""
    return f"{os.uname().nodename}:{os.getpid()}"


def fields_of(job: RunningJob) -> dict[str, object]:
    """Return what the records of a job carry; ``worker`` is named as in the job's errors."""
    return {
        "job_id": job.id,
        "task": job.task,
        "attempt": job.attempt,
        "queue": job.queue,
        "worker": process_name(),
    }


class JobFields(logging.Filter):
    """Adds the fields of the job that logs; those that the record has already stay."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass. Our own say themselves which job they are about."""
        job = CURRENT.get(None)
        if job is not None and not is_ours(record):
            had = vars(record)
            with contextlib.suppress(Exception):  # who logs is to be told of nothing
                for name, value in fields_of(job).items():
                    had.setdefault(name, value)
        return True


_job_fields = JobFields()


def upkeep() -> None:
    """After an app or a job may have configured logging: be heard, and have jobs named."""
    revive()
    for logger in (logging.root, *logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            for handler in logger.handlers:
                handler.addFilter(_job_fields)
