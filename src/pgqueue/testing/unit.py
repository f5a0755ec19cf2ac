"""A job to run a task for in a plain unit test, without a database."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NoReturn, cast

from pgqueue.config import DEFAULT_MAX_ATTEMPTS, DEFAULT_PRIORITY, DEFAULT_QUEUE
from pgqueue.errors import ConfigError
from pgqueue.running import CURRENT, RunningJob
from pgqueue.task import Task

__all__ = ["running_job"]


class _NoTransactions:
    """There is no database to begin one in."""

    drained = False

    @property
    def callers(self) -> NoReturn:
        raise _no_database()

    def begin(self, job: RunningJob) -> NoReturn:  # noqa: ARG002
        raise _no_database()

    async def abegin(self, job: RunningJob) -> NoReturn:
        self.begin(job)

    def end(
        self, handle: Any, job: RunningJob, error: BaseException | None, *others: RunningJob
    ) -> None: ...

    async def aend(
        self, handle: Any, job: RunningJob, error: BaseException | None, *others: RunningJob
    ) -> None: ...


def _no_database() -> ConfigError:
    return ConfigError(
        "a transaction that completes the job needs a database, and running_job() has none: "
        "enqueue the job in the test, and drain()"
    )


@contextmanager
def running_job(
    task: Task[..., Any] | str = "test",
    *,
    job_id: int = 1,
    attempt: int = 1,
    max_attempts: int | None = None,
    crash_count: int = 0,
    queue: str | None = None,
    priority: int | None = None,
    enqueued_at: datetime | None = None,
    tags: Iterable[str] = (),
    metadata: Mapping[str, Any] | None = None,
) -> Generator[RunningJob]:
    """Let ``pgqueue.current_job()`` return a job in the block, which is as described here.

    What is not given is as ``task`` has it, or as it is by default. ``job.mark_cancelled()`` makes
    ``is_cancelled`` true. There is no database: ``job.transaction()`` is refused.
    """
    known = task if isinstance(task, Task) else None
    options = {} if known is None else known.options
    name = known.name if known is not None else cast("str", task)
    record: dict[str, Any] = {
        "id": job_id,
        "task": name,
        "attempt": attempt,
        "crash_count": crash_count,
        "max_attempts": max_attempts or options.get("max_attempts", DEFAULT_MAX_ATTEMPTS),
        "flow": None,
        "queue": queue or options.get("queue", DEFAULT_QUEUE),
        "priority": options.get("priority", DEFAULT_PRIORITY) if priority is None else priority,
        "enqueued_epoch": (enqueued_at or datetime.now(UTC)).timestamp(),
        "tags": list(tags),
        "metadata": None if metadata is None else json.dumps(dict(metadata)),
    }
    is_async = known is not None and known.is_async
    job = RunningJob(cast("Any", record), 1, _NoTransactions(), is_async)
    before = CURRENT.get(None)
    CURRENT.set(job)
    try:
        yield job
    finally:
        # Not Token.reset: a fixture may leave the block in another context than it entered it in.
        CURRENT.set(cast("RunningJob", before))
