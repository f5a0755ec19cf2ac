"""Settings, and the checks of every value that a user gives: what, the value, what would do."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from pgqueue.errors import ConfigError, nearest, shown
from pgqueue.hints import setting_for

__all__ = [
    "DEFAULT_MAX_ATTEMPTS",
    "DEFAULT_PRIORITY",
    "DEFAULT_QUEUE",
    "LONGEST_DELAY",
    "WorkerOptions",
    "WorkerSettings",
    "check_int",
    "check_max_attempts",
    "check_moment",
    "check_priority",
    "check_queue",
    "check_seconds",
    "check_task_name",
    "check_text",
    "schema_from_environment",
]

DEFAULT_QUEUE = "default"
DEFAULT_PRIORITY = 5
DEFAULT_MAX_ATTEMPTS = 25
LONGEST_DELAY = 100 * 365.25 * 86400.0


def _valid_text(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def check_text(value: object, what: str, *, longest: int) -> str:
    """Return a non-empty text of at most ``longest`` bytes that PostgreSQL can store."""
    if not isinstance(value, str) or not value:
        hint = f'; write "{value}"' if type(value) is int else ""
        raise ConfigError(f"{what} must be a non-empty string, got {shown(value)}{hint}")
    if not _valid_text(value):
        raise ConfigError(f"{what} {value[:60]!r} holds a character that PostgreSQL cannot store")
    size = len(value.encode("utf-8"))
    if size > longest:
        raise ConfigError(f"{what} has {size} bytes, the limit is {longest}: {value[:60]!r}…")
    return value


def check_queue(value: object) -> str:
    """Return a queue's name: 1 to 100 bytes, no control characters."""
    name = check_text(value, "queue", longest=100)
    if any(ord(c) < 32 or ord(c) == 127 for c in name):
        raise ConfigError(f"queue {name!r} has a control character in it")
    return name


def check_task_name(value: object) -> str:
    """Return a task's name: 1 to 200 bytes, no control characters."""
    if callable(value):
        how = "a function becomes a task by @app.task"
        if hasattr(value, "enqueue"):
            function = getattr(value, "__name__", "task")
            name = getattr(value, "name", function)
            how = f'write "{name}", or {function}.enqueue(...) to enqueue this one'
        raise ConfigError(f"a task is named by a string here, got {shown(value)}; {how}")
    name = check_text(value, "task name", longest=200)
    if any(ord(c) < 32 or ord(c) == 127 for c in name):
        raise ConfigError(f"task name {name!r} has a control character in it")
    return name


def check_int(value: object, what: str, low: int, high: int | None = None) -> int:
    """Return a whole number from ``low`` to ``high``."""
    within = f"{low} or more" if high is None else f"from {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{what} must be a whole number {within}, got {shown(value)}")
    if value < low or (high is not None and value > high):
        raise ConfigError(f"{what} must be {within}, got {value}")
    return value


def check_priority(value: object) -> int:
    """Return a priority: 0 (first) to 9 (last)."""
    return check_int(value, "priority", 0, 9)


def check_max_attempts(value: object) -> int:
    """Return how often a job may be tried: 1 or more."""
    return check_int(value, "max_attempts", 1, 1_000_000)


def check_seconds(
    value: object, what: str, *, least: float = 0.0, most: float = LONGEST_DELAY
) -> float:
    """Return a span in seconds, given as a number or a timedelta."""
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            seconds = float(value)
        except OverflowError:
            seconds = math.inf
    else:
        raise ConfigError(
            f"{what} must be seconds or a timedelta, got {shown(value)}{_as_seconds(value)}"
        )
    if not math.isfinite(seconds) or not least <= seconds <= most:
        longest = "100 years" if most == LONGEST_DELAY else f"{most:g} seconds"
        unit = " seconds" if least and most == LONGEST_DELAY else ""
        raise ConfigError(f"{what} must be from {least:g}{unit} to {longest}, got {shown(value)}")
    return seconds


def _as_seconds(value: object) -> str:
    """What to write for a span that is given as text, as in "5m"."""
    units = r"(\d{1,9}(?:\.\d+)?) ?(s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?|)"
    found = re.fullmatch(units, value) if isinstance(value, str) else None
    if found is None:  # "500ms" is not 500 minutes
        return ""
    return f"; write {float(found[1]) * {'m': 60, 'h': 3600, 'd': 86400}.get(found[2][:1], 1):.15g}"


def check_moment(value: object, what: str) -> datetime:
    """Return an aware datetime; a naive one is refused, since nobody can tell what it means."""
    if not isinstance(value, datetime):
        raise ConfigError(
            f"{what} must be an aware datetime, got {shown(value)}; "
            "write datetime.now(timezone.utc) + timedelta(hours=1)"
        )
    if value.utcoffset() is None:
        raise ConfigError(
            f"{what} {shown(value)} has no time zone; "
            "use datetime.now(timezone.utc), or .astimezone()"
        )
    try:
        value.astimezone(UTC)
    except OverflowError:
        raise ConfigError(
            f"{what} {shown(value)} is not within the years 1 to 9999 of UTC"
        ) from None
    return value


def schema_from_environment() -> str:
    """Return PGQUEUE_SCHEMA, or ``pgqueue``."""
    return os.environ.get("PGQUEUE_SCHEMA") or "pgqueue"


class WorkerOptions(TypedDict, total=False):
    """The settings of a worker as they may be given; None leaves one as it is by default.

    ``WorkerSettings`` says what each means. A span is in seconds, or a timedelta.
    """

    queues: Iterable[str] | None
    concurrency: int | None
    threads: int | None
    children: int | None
    listen: bool | None
    poll_interval: float | timedelta | None
    lease: float | timedelta | None
    heartbeat: float | timedelta | None
    grace: float | timedelta | None
    deadline: float | timedelta | None
    max_prefetch: int | None
    crash_cap: int | None
    retention: float | timedelta | None
    max_jobs: int | None
    summary_interval: float | timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What can be set of a worker; ``about`` of each field is its line in the guide's table."""

    queues: tuple[str, ...] = field(
        default=(), metadata={"about": "queues to serve; empty: those of the app's tasks"}
    )
    concurrency: int = field(
        default=100, metadata={"about": "jobs that run at the same time in one process"}
    )
    threads: int = field(
        default=16,
        metadata={"about": "of these, jobs of tasks without async, each in a thread of its own"},
    )
    children: int = field(
        default=0,
        metadata={"about": "child processes, each with one job; 0: as many as there are cores"},
    )
    listen: bool = field(
        default=True,
        metadata={"about": "use LISTEN and sessions; False through PgBouncer in transaction mode"},
    )
    poll_interval: float = field(
        default=5.0,
        metadata={
            "about": "seconds between looks for work nobody announced (1 without listen); "
            "in a fleet, by turns"
        },
    )
    lease: float = field(
        default=15.0, metadata={"about": "seconds without a heartbeat until a worker is lost"}
    )
    heartbeat: float = field(
        default=2.0,
        metadata={
            "about": "seconds between heartbeats (1 without listen); at most a third of lease. "
            "By default longer in large fleets, and four times as long for a worker that has "
            "nothing to run while three others are on watch: lease / 4 at most"
        },
    )
    grace: float = field(
        default=20.0, metadata={"about": "seconds that running jobs get to finish at stop"}
    )
    deadline: float = field(
        default=8.0, metadata={"about": "seconds a statement may take before its connection is cut"}
    )
    max_prefetch: int = field(
        default=2000, metadata={"about": "jobs claimed ahead of a free slot when jobs are short"}
    )
    crash_cap: int = field(
        default=3, metadata={"about": "crashes of its worker after which a job is dead"}
    )
    retention: float = field(
        default=7 * 86400.0, metadata={"about": "seconds that finished jobs stay in history"}
    )
    max_jobs: int | None = field(
        default=None, metadata={"about": "stop after this many jobs; None: never"}
    )
    summary_interval: float = field(
        default=60.0, metadata={"about": "seconds between summary lines in the log; 0: none"}
    )

    @classmethod
    def of(cls, options: Mapping[str, object]) -> WorkerSettings:
        """Check options given by name; an unknown one gets the nearest right name."""
        known = [f.name for f in fields(cls)]
        for name in options:
            if name not in known:
                hint = nearest(name, known) or setting_for(name)
                raise ConfigError(f'unknown setting "{name}"{hint}')
        values: dict[str, object] = {k: v for k, v in options.items() if v is not None}
        if values.get("listen") is False:
            values.setdefault("poll_interval", 1.0)
        if "heartbeat" not in values:
            heartbeat = 1.0 if values.get("listen") is False else 2.0  # it alone sees a cancel
            lease = check_seconds(values.get("lease", 15.0), "lease", least=0.3, most=3600)
            values["heartbeat"] = min(heartbeat, lease / 4)
        return cls(**values)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "queues", _check_queues(self.queues))
        for name, low, high in (
            ("concurrency", 1, 10_000), ("threads", 1, 10_000), ("children", 0, 1000),
            ("max_prefetch", 0, 100_000), ("crash_cap", 1, 100),
        ):  # fmt: skip
            check_int(getattr(self, name), name, low, high)
        if not isinstance(self.listen, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"listen must be True or False, got {shown(self.listen)}")
        for name, least, most in (
            ("poll_interval", 0.01, 3600.0),
            ("lease", 0.3, 3600.0),
            ("heartbeat", 0.05, 600.0),
            ("grace", 0.0, 86400.0),
            ("deadline", 0.1, 600.0),
            ("retention", 0.0, LONGEST_DELAY),
            ("summary_interval", 0.0, 86400.0),
        ):
            put(self, name, check_seconds(getattr(self, name), name, least=least, most=most))
        if self.heartbeat > self.lease / 3:
            raise ConfigError(
                f"heartbeat must be at most a third of lease ({self.lease:g} s), "
                f"got {self.heartbeat:g}; {self.lease / 4:g} would do"
            )
        if self.max_jobs is not None:
            check_int(self.max_jobs, "max_jobs", 1)


def _check_queues(queues: object) -> tuple[str, ...]:
    if isinstance(queues, str):
        raise ConfigError(
            f'queues must be a list of names, got the string {queues!r}; use ["{queues}"]'
        )
    if not isinstance(queues, Iterable):
        raise ConfigError(f"queues must be a list of names, got {shown(queues)}")
    given: Iterable[object] = queues  # pyright: ignore[reportUnknownVariableType]
    return tuple(dict.fromkeys(check_queue(name) for name in given))
