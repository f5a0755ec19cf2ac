"""Which public names stand on which page of docs/reference."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["HIDDEN", "MADE_BY_US", "PAGES", "Page"]


class Page(NamedTuple):
    """``module``: where a reader imports the names from."""

    title: str
    about: str
    module: str
    names: tuple[str, ...]


PAGES = {
    "app": Page(
        "Apps, tasks and enqueueing",
        "make tasks, enqueue jobs, look at jobs and repair them",
        "pgqueue",
        ("App", "Client", "Task", "BoundTask", "BatchTask", "Options", "ChangeOptions", "NewJob",
         "Enqueued", "Backoff", "RetryPolicy", "__version__"),
    ),
    "job": Page(
        "Inside a job",
        "what a task may ask of its job, and how it chooses its outcome",
        "pgqueue",
        ("current_job", "RunningJob", "current_batch", "Batch", "BatchTransaction",
         "JobTransaction", "CallersTransaction", "Retry", "Snooze", "Discard"),
    ),
    "worker": Page(
        "Run workers",
        "run jobs inside a program of yours, and all settings of a worker",
        "pgqueue",
        ("Worker", "Workers", "WorkerOptions", "WorkerSettings", "WorkerThread", "Statistics"),
    ),
    "schedules": Page(
        "Schedules",
        "jobs that are made again and again",
        "pgqueue",
        ("ScheduleOptions", "Schedules", "ScheduleInfo", "ScheduleState", "ScheduleSlot",
         "ScheduleFire"),
    ),
    "flows": Page(
        "Flows",
        "limits that jobs share, and turns between tenants",
        "pgqueue",
        ("Flow", "Flows", "FlowLimits", "FlowInfo", "FlowState", "FlowKey", "FlowUsage",
         "StillFlow"),
    ),
    "unique": Page(
        "Unique jobs",
        "which jobs are the same one, and what becomes of the second",
        "pgqueue",
        ("Unique", "Replace", "Debounce", "Throttle"),
    ),
    "limits": Page(
        "Limits of queues",
        "how many jobs of a queue run at once, and how many begin in a time",
        "pgqueue",
        ("QueueLimitOptions", "QueueLimits", "QueueLimitInfo"),
    ),
    "answers": Page(
        "What operations answer",
        "the values that the operations of an app return",
        "pgqueue",
        ("JobState", "JobInfo", "JobPage", "AttemptError", "Count", "QueueInfo", "WorkerInfo",
         "WorkerState", "Status", "SchemaStatus", "migrations", "Migration", "CancelResult",
         "RetryResult", "RedriveResult", "DeadCount", "PurgeResult", "Drained"),
    ),
    "exceptions": Page(
        "Exceptions",
        "every exception, what it means, and which is a kind of which",
        "pgqueue",
        ("PgQueueError", "ConfigError", "UnknownTask", "PayloadError", "SchemaError",
         "QueueFull", "DatabaseError", "Unreachable", "PoolTimeout", "OutcomeUnknown",
         "SyncInAsync", "NotInJob", "LeaseLost", "ProcessDied",
         "EmbeddedError"),
    ),
    "testing": Page(
        "Testing",
        "assertions, and jobs that run in the transaction of a test",
        "pgqueue.testing",
        ("Kit", "Wanted", "enqueued", "assert_enqueued", "refute_enqueued", "drain", "transaction",
         "running_job", "Drained", "FailedAttempt", "aenqueued", "aassert_enqueued",
         "arefute_enqueued", "adrain", "atransaction"),
    ),
    "django": Page(
        "Hooks for Django",
        "connections of the ORM around each job",
        "pgqueue.hooks.django",
        ("around", "SyncConnections", "AsyncConnections"),
    ),
    "flask": Page(
        "Hooks for Flask",
        "the context of the application around each job",
        "pgqueue.hooks.flask",
        ("around", "SyncAppContext", "AsyncAppContext", "Session"),
    ),
}  # fmt: skip

HIDDEN = {
    # A worker calls these, and a task of pgqueue's calls those of its app.
    "RunningJob": {
        "token", "completion", "is_async", "check_open", "entering", "mark_cancelled",
        "mark_completed", "mark_in_doubt", "mark_left", "mark_undone", "transactions",
    },
    "Client": {"enqueue_job", "aenqueue_job", "join", "pool"},
    "App": {"enqueue_job", "aenqueue_job", "join", "pool"},
    "Task": {"call", "payload", "enqueuer"},
    "BatchTask": {"call", "payload", "enqueuer", "join"},
    "Worker": {"disown", "machines"},
}  # fmt: skip
"""Members that have no underscore, since another module of pgqueue uses them."""

MADE_BY_US = {
    "Batch", "BatchTask", "BatchTransaction", "BoundTask", "CallersTransaction",
    "FailedAttempt", "JobTransaction", "NewJob", "RunningJob", "Statistics", "Task", "WorkerThread",
}  # fmt: skip
"""Classes whose objects a program is given: their constructors are nobody's concern."""
