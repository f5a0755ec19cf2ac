"""Background jobs in the PostgreSQL that you already run.

Enqueued in the same transaction as your data, run at least once, never lost.
"""

from typing import TYPE_CHECKING

from pgqueue.app import App
from pgqueue.client import Client
from pgqueue.errors import (
    ConfigError,
    DatabaseError,
    Discard,
    EmbeddedError,
    LeaseLost,
    NotInJob,
    OutcomeUnknown,
    PayloadError,
    PgQueueError,
    PoolTimeout,
    Retry,
    SchemaError,
    Snooze,
    SyncInAsync,
    UnknownTask,
    Unreachable,
)
from pgqueue.job import Enqueued, JobState, NewJob
from pgqueue.retry import Backoff
from pgqueue.running import RunningJob, current_job
from pgqueue.task import BoundTask, Task
from pgqueue.version import __version__

if TYPE_CHECKING:
    from pgqueue.worker import Statistics, Worker

__all__ = [
    "App",
    "Backoff",
    "BoundTask",
    "Client",
    "ConfigError",
    "DatabaseError",
    "Discard",
    "EmbeddedError",
    "Enqueued",
    "JobState",
    "LeaseLost",
    "NewJob",
    "NotInJob",
    "OutcomeUnknown",
    "PayloadError",
    "PgQueueError",
    "PoolTimeout",
    "Retry",
    "RunningJob",
    "SchemaError",
    "Snooze",
    "Statistics",
    "SyncInAsync",
    "Task",
    "UnknownTask",
    "Unreachable",
    "Worker",
    "__version__",
    "current_job",
]


def __getattr__(name: str) -> object:
    """Load the worker when it is asked for: a program that only enqueues does without."""
    if name in ("Statistics", "Worker"):
        from pgqueue import worker

        return getattr(worker, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
