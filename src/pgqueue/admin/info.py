"""What the operations answer: plain values, no I/O."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from pgqueue.job import JobState

__all__ = [
    "COUNT_BOUND",
    "AttemptError",
    "Count",
    "JobInfo",
    "JobPage",
    "QueueInfo",
    "SchemaStatus",
    "Status",
    "StillFlow",
    "WorkerInfo",
    "WorkerState",
]

COUNT_BOUND = 10_000
"""Counts are exact up to here; beyond it they say so, and cost no more."""


class Count(int):
    """A number of jobs. ``precision`` says whether it is exact, a lower bound, or an estimate."""

    precision: Literal["exact", "at least", "about"]

    def __new__(
        cls, value: int, precision: Literal["exact", "at least", "about"] = "exact"
    ) -> Count:
        self = super().__new__(cls, value)
        self.precision = precision
        return self

    @classmethod
    def bounded(cls, seen: int, *, cut: bool = False) -> Count:
        """Return what was counted up to COUNT_BOUND; ``cut``: there may be more."""
        if cut or seen > COUNT_BOUND:
            return cls(min(seen, COUNT_BOUND), "at least")
        return cls(seen)

    @property
    def exact(self) -> bool:
        """True if it is neither a bound nor an estimate."""
        return self.precision == "exact"

    def __str__(self) -> str:
        match self.precision:
            case "exact":
                return int.__repr__(self)
            case "at least":
                return f"{int.__repr__(self)}+"
            case "about":
                return f"~{int.__repr__(self)}"

    __repr__ = __str__


class AttemptError(msgspec.Struct, frozen=True):
    """One failed attempt, as it was recorded: ``attempt`` is its number, ``claimed_at`` to ``at``
    when it ran, ``worker`` which one had it; ``type``, ``message`` and ``traceback`` are of the
    exception, as text that was cut where it was long.
    """

    attempt: int | None
    at: datetime | None
    type: str
    message: str
    traceback: str
    worker: str
    claimed_at: datetime | None = None


class JobInfo(msgspec.Struct, frozen=True):
    """One job as it stands, in whatever state. All moments are by the database's clock.

    As it was enqueued: ``id``, ``task``, ``args`` (by parameter name), ``queue``, ``priority`` (0
    is first), ``max_attempts``, ``timeout_seconds``, ``unique_key``, ``tags``, ``metadata``,
    ``flow``, ``flow_key`` and ``weight`` (None without a flow; a weight of None counts as 1), and
    ``enqueued_at``. ``expires_at``: if no worker has taken it by then, it is cancelled; None:
    never. As it is now: ``state``; ``run_at``, when it is due (None while it is blocked);
    ``attempt``, the number of the last one; ``crash_count``, how often its worker died while it
    ran; ``errors`` of attempts that failed; ``claimed_at`` and ``worker_id`` of the last attempt;
    ``finished_at``; and ``reason``, why it is dead or cancelled.
    """

    id: int
    state: JobState
    queue: str
    task: str
    args: Any
    priority: int
    run_at: datetime | None
    enqueued_at: datetime
    claimed_at: datetime | None
    finished_at: datetime | None
    attempt: int
    max_attempts: int
    crash_count: int
    timeout_seconds: float | None
    unique_key: str | None
    tags: tuple[str, ...]
    metadata: Any
    errors: tuple[AttemptError, ...]
    worker_id: int | None
    expires_at: datetime | None
    reason: str | None
    flow: str | None = None
    flow_key: str | None = None
    weight: int | None = None

    @property
    def has_expired(self) -> bool:
        """True if it was cancelled because no attempt had begun in time."""
        return (
            self.state is JobState.CANCELLED
            and self.expires_at is not None
            and self.claimed_at is not None
            and self.claimed_at >= self.expires_at
        )


class JobPage(list[JobInfo]):
    """A page of jobs: a list of them, newest first.

    ``before_id``: with which the next page is asked for; None: this is the last one. A page may be
    shorter than its limit, or empty, and not be the last: where few of many jobs fit.
    """

    __slots__ = ("before_id",)

    def __init__(self, jobs: Iterable[JobInfo], before_id: int | None) -> None:
        super().__init__(jobs)
        self.before_id = before_id


class QueueInfo(msgspec.Struct, frozen=True):
    """One queue, by its ``name``. ``waiting``: a worker waits to be notified.

    ``paused_at``: since when nothing is claimed from it; None: it is not paused. ``ready``,
    ``running``, ``scheduled`` and ``blocked``: how many jobs are due, run, are due later, and wait
    in the lines of flows. ``running`` is counted among the first 10,000 of each priority, where
    claims take. ``oldest_ready_seconds``: for how long the oldest ready job has been due.
    ``workers``: the live ones that serve it. ``unknown``: by task, ready jobs among the first 1,000
    whose task none of these workers knows. ``concurrency`` and ``rate``: its limits, how many of
    its jobs run at once, and how many begin a second; None: there is no such limit. ``held``: how
    many permits to run workers have of it.
    """

    name: str
    paused_at: datetime | None
    waiting: bool
    ready: Count
    running: Count
    scheduled: Count
    oldest_ready_seconds: float | None
    blocked: Count = Count(0)
    workers: int = 0
    unknown: Mapping[str, Count] = msgspec.field(default_factory=dict[str, Count])
    concurrency: int | None = None
    rate: float | None = None
    held: int = 0


class WorkerState(enum.StrEnum):
    """``alive``, ``stopping``, or ``late``: silent for over half its lease; or ``overloaded``: its
    event loop or its renewals lag, and it uses fewer slots than it has."""

    ALIVE = "alive"
    LATE = "late"
    STOPPING = "stopping"
    OVERLOADED = "overloaded"


class WorkerInfo(msgspec.Struct, frozen=True):
    """One worker process: its ``id``, ``state``, ``host``, ``pid``, and ``version`` of pgqueue.

    ``heartbeat_age``: seconds since its last heartbeat, by the database's clock. It is lost once
    that is more than ``lease_seconds``. ``running``: how many of its ``concurrency`` slots are
    taken. ``queues``: those that it serves. ``started_at`` is by the database's clock as well;
    ``stopping``: it claims no more. ``allowed_slots``: how many slots it uses while it is
    overloaded, else None.
    """

    id: int
    state: WorkerState
    host: str
    pid: int
    started_at: datetime
    heartbeat_age: float
    lease_seconds: float
    running: int
    concurrency: int
    queues: tuple[str, ...]
    stopping: bool
    version: str
    allowed_slots: int | None = None


class SchemaStatus(msgspec.Struct, frozen=True):
    """How the ``schema`` and this version fit. ``version`` is None where nothing is installed.

    ``newest``: the version that this package brings. ``applied``, ``missing``: migrations by their
    ids, such as ``0001_first``, oldest first. ``problem``: why this package cannot work with it, if
    it cannot. ``damage``: what a restore or TRUNCATE has left out; ``migrate`` repairs it.
    """

    schema: str
    version: int | None
    newest: int
    missing: tuple[str, ...]
    problem: str | None
    damage: tuple[str, ...] = ()
    applied: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True if this version works with the schema as it is."""
        return self.problem is None


class StillFlow(msgspec.Struct, frozen=True):
    """A flow of which jobs wait and are not admitted: it, or some of its keys, stand still.

    ``name``, ``waiting``, ``paused_at``, ``held_until`` and ``paused_keys``: as ``FlowInfo`` has
    them.
    """

    name: str
    waiting: Count
    paused_at: datetime | None
    held_until: datetime | None
    paused_keys: int


class Status(msgspec.Struct, frozen=True):
    """Everything at one moment. Beyond COUNT_BOUND finished jobs, their counts are estimates.

    ``schema`` and ``schema_version``: what was looked at. ``jobs``: how many, by state. ``queues``
    and ``workers``: each of them. ``oldest_ready_seconds``: for how long the oldest ready job has
    been due; ``next_due_seconds``: in how many seconds the next one is; None: there is none.
    ``still_flows``: those that have jobs in line, and stand still or have keys that do.
    ``misfits``: by task, the scheduled jobs that wait for a worker that their arguments fit; none
    for a role that may not read errors, as a viewer.
    ``late_schedules``: by name, for how many seconds a slot has been due that nobody fires, where
    that is more than a minute; ``orphaned_schedules``: those that the code of no worker declares
    any more; up to a thousand of both, and no paused ones.
    ``copy_of``: what tells that this is a copy of another database, on which no worker starts.
    ``damage``: what a restore or TRUNCATE has left out; ``migrate`` repairs it.
    """

    schema: str
    schema_version: int
    jobs: Mapping[str, Count]
    queues: tuple[QueueInfo, ...]
    workers: tuple[WorkerInfo, ...]
    oldest_ready_seconds: float | None
    next_due_seconds: float | None
    misfits: Mapping[str, Count]
    still_flows: tuple[StillFlow, ...] = ()
    copy_of: str | None = None
    damage: tuple[str, ...] = ()
    late_schedules: Mapping[str, float] = {}
    orphaned_schedules: tuple[str, ...] = ()
