"""What a test expects of a job, and in what a job differs from that. Plain values, no I/O."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypedDict, cast

import msgspec

from pgqueue.admin.info import JobInfo
from pgqueue.config import check_seconds
from pgqueue.errors import ConfigError, nearest, shown
from pgqueue.job import JobState
from pgqueue.task import Task

__all__ = ["Difference", "Expected", "Wanted"]

_WITHIN = 5.0


class Wanted(TypedDict, total=False):
    """What may be asked of a job. What is left out may be anything.

    ``queue``, ``priority``, ``max_attempts``, ``unique_key``, ``flow``, ``weight``: as they were
    given at the enqueue. ``flow_key``: as given, or as the arguments make it.
    ``args``: some or all arguments by parameter name; others may have any value. ``delay``: seconds
    or timedelta from the enqueue until the job is due; ``run_at``: an aware datetime; both within
    ``within`` seconds (5). ``tags``: those it has, in any order. ``metadata``: some or all of it.
    ``count``: how many such jobs there are, exactly; else it is one or more.
    """

    args: Mapping[str, Any]
    queue: str
    priority: int
    delay: float | timedelta
    run_at: datetime
    unique_key: str
    tags: Iterable[str]
    metadata: Mapping[str, Any]
    max_attempts: int
    flow: str | None
    flow_key: str
    weight: int
    count: int
    within: float


@dataclass(frozen=True, slots=True)
class Difference:
    """In what a job is not as expected: ``what`` is "queue" or "args.email", say."""

    what: str
    expected: str
    found: str


_MISSING = object()
_PLAIN = ("queue", "priority", "unique_key", "max_attempts", "flow", "flow_key", "weight")


@dataclass(frozen=True, slots=True)
class Expected:
    """A job as a test expects it. ``task``: a name, or None for any. ``known``: the task itself."""

    task: str | None = None
    known: Task[..., Any] | None = None
    wanted: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        allowed = Wanted.__annotations__
        for name in self.wanted:
            if name not in allowed:
                raise ConfigError(f'nothing of a job is called "{name}"{nearest(name, allowed)}')
        if "delay" in self.wanted and "run_at" in self.wanted:
            raise ConfigError("give delay or run_at, not both")
        count = self.wanted.get("count")
        if count is not None and (not isinstance(count, int) or count < 0):
            raise ConfigError(f"count must be a whole number from 0, got {shown(count)}")
        for name in ("args", "metadata"):
            if not isinstance(given := self.wanted.get(name, {}), Mapping):
                raise ConfigError(f"{name} must be a mapping of names, got {shown(given)}")
        if self.known is not None:
            self._check_names(self.wanted.get("args", {}), self.known)

    def _check_names(self, names: Iterable[str], task: Task[..., Any]) -> None:
        parameters = inspect.signature(task.function).parameters
        if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
            return
        for name in names:
            if name not in parameters:
                raise ConfigError(
                    f'task "{task.name}" takes no argument "{name}"{nearest(name, parameters)}'
                )

    def __str__(self) -> str:
        which = "any task" if self.task is None else f'task "{self.task}"'
        hidden = ("count", "within")
        rest = [f"{name}={shown(v)}" for name, v in self.wanted.items() if name not in hidden]
        return f"a job of {which}" + (f" with {', '.join(rest)}" if rest else "")

    @property
    def count(self) -> int | None:
        """How many there are to be; None for one or more."""
        return self.wanted.get("count")

    def differences(self, job: JobInfo) -> list[Difference]:
        """Return in what a job differs; nothing if it is as expected."""
        found: list[Difference] = []
        if self.task is not None and not self._is_named(job):
            found.append(Difference("task", f'"{self.task}"', f'"{job.task}"'))
        found += [
            _differs(name, self.wanted[name], getattr(job, name))
            for name in _PLAIN
            if name in self.wanted and self.wanted[name] != getattr(job, name)
        ]
        found += self._of_args(job)
        found += _of_mapping("metadata", self.wanted.get("metadata", {}), job.metadata or {})
        if "tags" in self.wanted and not set(self.wanted["tags"]) <= set(job.tags):
            found.append(_differs("tags", sorted(self.wanted["tags"]), list(job.tags)))
        return found + self._of_time(job)

    def _is_named(self, job: JobInfo) -> bool:
        former = () if self.known is None else self.known.aliases
        return job.task == self.task or job.task in former

    def _of_args(self, job: JobInfo) -> list[Difference]:
        wanted = self.wanted.get("args", {})
        given = _mapping(job.args)
        if not wanted or self.known is None or not self._is_named(job):
            return _of_mapping("args", wanted, given)
        return _of_mapping("args", wanted, given, _as_the_task_sees(self.known, given))

    def _of_time(self, job: JobInfo) -> list[Difference]:
        within = timedelta(seconds=self.wanted.get("within", _WITHIN))
        # What stands in the line of its flow has been due since.
        due = job.enqueued_at if job.state is JobState.BLOCKED else job.run_at
        if "run_at" in self.wanted:
            wanted = self.wanted["run_at"]
            if due is None or abs(due - wanted) > within:
                return [Difference("run_at", str(wanted), str(due))]
        if "delay" in self.wanted:
            delay = timedelta(seconds=check_seconds(self.wanted["delay"], "delay"))
            found = None if due is None else due - job.enqueued_at
            if found is None or abs(found - delay) > within:
                return [Difference("delay", str(delay), str(found))]
        return []


def _of_mapping(
    what: str, wanted: Mapping[str, Any], found: Any, seen: Mapping[str, Any] | None = None
) -> list[Difference]:
    values = _mapping(found)
    return [
        Difference(
            f"{what}.{name}",
            shown(value),
            shown(values[name]) if name in values else "not given",
        )
        for name, value in wanted.items()
        if not _same(value, values.get(name, _MISSING))
        and not (seen is not None and name in seen and _equal(value, seen[name]))
    ]


def _mapping(found: object) -> dict[str, Any]:
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _same(wanted: Any, stored: Any) -> bool:
    """Compare a value with what is stored of it as JSON."""
    if _equal(wanted, stored):
        return True
    try:
        return _equal(msgspec.json.decode(msgspec.json.encode(wanted)), stored)
    except Exception:
        return False


def _equal(one: Any, other: Any) -> bool:
    return type(one == other) is bool and one == other


def _as_the_task_sees(task: Task[..., Any], given: Any) -> Mapping[str, Any]:
    """Return the arguments as the task will get them, by name; none where they do not fit it."""
    try:
        args, kwargs = task.payload.decode(json.dumps(given))
        return inspect.signature(task.function).bind(*args, **kwargs).arguments
    except Exception:
        return {}


def _differs(what: str, expected: object, found: object) -> Difference:
    return Difference(what, shown(expected), shown(found))
