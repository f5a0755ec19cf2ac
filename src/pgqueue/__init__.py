"""Background jobs in the PostgreSQL that you already run.

Enqueued in the same transaction as your data, run at least once, never lost.
"""

from typing import TYPE_CHECKING

from pgqueue.admin.flow_info import FlowInfo, FlowKey, FlowState, FlowUsage
from pgqueue.admin.info import (
    AttemptError,
    Count,
    JobInfo,
    JobPage,
    QueueInfo,
    SchemaStatus,
    Status,
    StillFlow,
    WorkerInfo,
    WorkerState,
)
from pgqueue.admin.limit_info import QueueLimitInfo
from pgqueue.admin.results import CancelResult, DeadCount, PurgeResult, RedriveResult, RetryResult
from pgqueue.admin.schedule_info import ScheduleFire, ScheduleInfo, ScheduleSlot, ScheduleState
from pgqueue.app import App
from pgqueue.batch import Batch, BatchTask, BatchTransaction, current_batch
from pgqueue.client import Client
from pgqueue.completing import CallersTransaction, JobTransaction
from pgqueue.config import WorkerOptions, WorkerSettings
from pgqueue.db.migrate import Migration, migrations
from pgqueue.drained import Drained
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
    ProcessDied,
    QueueFull,
    Retry,
    SchemaError,
    Snooze,
    SyncInAsync,
    UnknownTask,
    Unreachable,
)
from pgqueue.flow.queue_limits import QueueLimitOptions
from pgqueue.flow.value import Flow
from pgqueue.job import Enqueued, JobState, NewJob, Options
from pgqueue.namesake import refuse_namesake as _refuse_namesake
from pgqueue.operations.audited import ChangeOptions
from pgqueue.operations.flows import FlowLimits, Flows
from pgqueue.operations.queue_limits import QueueLimits
from pgqueue.operations.schedules import Schedules
from pgqueue.retry import Backoff, RetryPolicy
from pgqueue.running import RunningJob, current_job
from pgqueue.schedule.settings import ScheduleOptions
from pgqueue.task import BoundTask, Task
from pgqueue.unique.modes import Debounce, Replace, Throttle, Unique
from pgqueue.version import __version__

_refuse_namesake(__path__[0])

if TYPE_CHECKING:
    from pgqueue.worker import Statistics, Worker, Workers, WorkerThread

__all__ = [
    "App",
    "AttemptError",
    "Backoff",
    "Batch",
    "BatchTask",
    "BatchTransaction",
    "BoundTask",
    "CallersTransaction",
    "CancelResult",
    "ChangeOptions",
    "Client",
    "ConfigError",
    "Count",
    "DatabaseError",
    "DeadCount",
    "Debounce",
    "Discard",
    "Drained",
    "EmbeddedError",
    "Enqueued",
    "Flow",
    "FlowInfo",
    "FlowKey",
    "FlowLimits",
    "FlowState",
    "FlowUsage",
    "Flows",
    "JobInfo",
    "JobPage",
    "JobState",
    "JobTransaction",
    "LeaseLost",
    "Migration",
    "NewJob",
    "NotInJob",
    "Options",
    "OutcomeUnknown",
    "PayloadError",
    "PgQueueError",
    "PoolTimeout",
    "ProcessDied",
    "PurgeResult",
    "QueueFull",
    "QueueInfo",
    "QueueLimitInfo",
    "QueueLimitOptions",
    "QueueLimits",
    "RedriveResult",
    "Replace",
    "Retry",
    "RetryPolicy",
    "RetryResult",
    "RunningJob",
    "ScheduleFire",
    "ScheduleInfo",
    "ScheduleOptions",
    "ScheduleSlot",
    "ScheduleState",
    "Schedules",
    "SchemaError",
    "SchemaStatus",
    "Snooze",
    "Statistics",
    "Status",
    "StillFlow",
    "SyncInAsync",
    "Task",
    "Throttle",
    "Unique",
    "UnknownTask",
    "Unreachable",
    "Worker",
    "WorkerInfo",
    "WorkerOptions",
    "WorkerSettings",
    "WorkerState",
    "WorkerThread",
    "Workers",
    "__version__",
    "current_batch",
    "current_job",
    "migrations",
]


def __getattr__(name: str) -> object:
    """Load the worker when it is asked for: a program that only enqueues does without."""
    if name in ("Statistics", "Worker", "WorkerThread", "Workers"):
        from pgqueue import worker

        return getattr(worker, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, and nothing else."""
    return __all__
