"""A job as a value: what is enqueued, what comes back, and the states with their allowed moves."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict, Unpack

import msgspec

from pgqueue.config import (
    check_max_attempts,
    check_moment,
    check_priority,
    check_queue,
    check_seconds,
    check_text,
)
from pgqueue.errors import ConfigError, PayloadError, nearest, shown
from pgqueue.flow.names import check_flow, check_key, check_weight
from pgqueue.hints import word_for
from pgqueue.unique.modes import Mode, check_unique
from pgqueue.unique.options import settle, with_key

__all__ = [
    "CHECKS",
    "MOVES",
    "Enqueued",
    "JobState",
    "NewJob",
    "Options",
    "check_options",
    "envelope",
    "new_job",
    "with_options",
]


class JobState(enum.StrEnum):
    """Where a job stands.

    ``pending``: due, it waits for a worker. ``scheduled``: due later, also after a failed attempt.
    ``running``: a worker has it. ``completed``, ``cancelled``, ``dead``: it is over; a dead one
    has failed for good. ``blocked``: it stands in the line of its flow.
    """

    SCHEDULED = "scheduled"
    BLOCKED = "blocked"
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DEAD = "dead"

    @property
    def is_final(self) -> bool:
        """True once nothing but an operator moves the job again."""
        return JobState.CANCELLED not in MOVES[self]


MOVES: Mapping[JobState, frozenset[JobState]] = {
    JobState.SCHEDULED: frozenset({JobState.PENDING, JobState.BLOCKED, JobState.CANCELLED}),
    JobState.BLOCKED: frozenset({JobState.PENDING, JobState.CANCELLED}),
    JobState.PENDING: frozenset({JobState.RUNNING, JobState.BLOCKED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset(
        {
            JobState.COMPLETED,
            JobState.SCHEDULED,
            JobState.PENDING,
            JobState.DEAD,
            JobState.CANCELLED,
        }
    ),
    JobState.COMPLETED: frozenset(),
    JobState.CANCELLED: frozenset({JobState.PENDING, JobState.BLOCKED}),
    JobState.DEAD: frozenset({JobState.PENDING, JobState.BLOCKED}),
}
"""Allowed moves. Those out of ``dead`` and ``cancelled`` are an operator's: redrive and retry.

What is not over can be cancelled, so ``JobState.is_final`` follows from it.
"""


class Options(TypedDict, total=False):
    """How a job is to be run; the same keys in single, bulk and by-name enqueue.

    ``queue``: a name of 1 to 100 bytes. ``priority``: 0 (first) to 9; 5 by default. ``delay``:
    seconds or a timedelta from now, by the database's clock; or ``run_at``: an aware datetime.
    ``max_attempts``: 1 or more, the first one counts; 25 by default. ``timeout``: seconds or a
    timedelta an attempt may take; None: any time. ``unique_key``: while a job with it is alive, an
    enqueue returns that one. ``tags``: up to 100 words to look for. ``metadata``: a dict of JSON,
    for what is not an argument. ``expires``: seconds, a timedelta or an aware datetime; an attempt
    that would begin later does not. ``flow``: the name of a flow, whose limits hold for the job.
    ``flow_key``: its tenant, customer or account there, up to 200 bytes. ``weight``: how many
    tokens of a rate it takes; 1 by default. ``unique``: what counts as the same job, and what
    becomes of the second one: a Unique, Replace, Debounce or Throttle.
    """

    queue: str
    priority: int
    delay: float | timedelta
    run_at: datetime
    max_attempts: int
    timeout: float | timedelta | None
    unique_key: str | None
    tags: Iterable[str]
    metadata: Mapping[str, Any]
    expires: float | timedelta | datetime | None
    flow: str | None
    flow_key: str | None
    weight: int | None
    unique: Mode | None


def _tags(value: object) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        hint = f"; write [{shown(value)}]" if isinstance(value, str) else ""
        raise ConfigError(f"tags must be a list of strings, got {shown(value)}{hint}")
    given: Iterable[object] = value  # pyright: ignore[reportUnknownVariableType]
    tags: list[str] = []
    for tag in given:
        if len(tags) == 100:
            raise ConfigError("tags must be at most 100")
        tags.append(check_text(tag, "tag", longest=200))
    return tags


def _metadata(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(
            f'metadata must be a mapping, got {shown(value)}; write {{"key": "value"}}'
        )
    from pgqueue.payload import encode_untyped

    try:
        text = encode_untyped(value, max_bytes=65536)  # pyright: ignore[reportUnknownArgumentType]
    except PayloadError as exc:
        raise PayloadError(f"metadata: {exc}", path=exc.path) from exc
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _expires(value: object) -> float | str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return check_moment(value, "expires").astimezone(UTC).isoformat()
    return check_seconds(value, "expires", least=0.001)


CHECKS: Mapping[str, Callable[[object], object]] = {
    "queue": check_queue,
    "priority": check_priority,
    "delay": lambda span: check_seconds(span, "delay"),
    "run_at": lambda moment: check_moment(moment, "run_at").astimezone(UTC).isoformat(),
    "max_attempts": check_max_attempts,
    "timeout": lambda span: None if span is None else check_seconds(span, "timeout", least=0.001),
    "unique_key": lambda key: None if key is None else check_text(key, "unique_key", longest=500),
    "tags": _tags,
    "metadata": _metadata,
    "expires": _expires,
    "flow": lambda name: None if name is None else check_flow(name),
    "flow_key": lambda key: None if key is None else check_key(key),
    "weight": lambda weight: None if weight is None else check_weight(weight),
    "unique": check_unique,
}
"""The check of each key of ``Options``; it returns what stands in the job's document."""


def check_options(options: Mapping[str, object]) -> dict[str, Any]:
    """Return the options checked, as they stand in the job's document; refuse what is wrong."""
    out: dict[str, Any] = {}
    for name, value in options.items():
        if name not in CHECKS:
            raise ConfigError(f'unknown option "{name}"{_instead_of(name)}')
        out[name] = CHECKS[name](value)
    if "delay" in out and "run_at" in out:
        raise ConfigError("give delay or run_at, not both")
    _check_expires(out)
    return out


def _instead_of(name: str) -> str:
    guess = word_for(name) or nearest(name, CHECKS)
    return (
        guess or f'; an argument of the task stands in the dict of its arguments: {{"{name}": ...}}'
    )


def with_options(former: Mapping[str, Any], options: Mapping[str, object]) -> dict[str, Any]:
    """Return the former options with others in their place, which are checked."""
    changed = check_options(options)
    merged = {**former, **changed}
    if "delay" in changed:
        merged.pop("run_at", None)
    if "run_at" in changed:
        merged.pop("delay", None)
    if "flow" in changed and changed["flow"] != former.get("flow"):
        for name in _OF_FLOW - changed.keys():
            merged.pop(name, None)
    if "unique" in merged:
        settle(former, changed, merged)
    _check_expires(merged)
    _check_flow(merged)
    return merged


_OF_FLOW = frozenset({"flow_key", "weight"})


def _check_flow(options: Mapping[str, Any]) -> None:
    """Refuse a key or a weight where no flow is."""
    if options.get("flow") is None:
        for name in ("flow_key", "weight"):
            if options.get(name) is not None:
                raise ConfigError(
                    f'{name} belongs to a job of a flow; give flow="name" as well, or '
                    "@app.task(flow=pgqueue.Flow(...))"
                )


def _check_expires(options: Mapping[str, Any]) -> None:
    """Refuse a job that expires before it is due, as far as that is known without a clock."""
    expires, delay, run_at = (options.get(name) for name in ("expires", "delay", "run_at"))
    if isinstance(expires, float) and delay is not None and expires <= delay:
        raise ConfigError(f"expires ({expires:g} s) must be more than delay ({delay:g} s)")
    if isinstance(expires, str) and run_at is not None and _moment(expires) <= _moment(run_at):
        raise ConfigError(f"expires ({expires}) must be later than run_at ({run_at})")


_moment = datetime.fromisoformat


class NewJob(msgspec.Struct, frozen=True):
    """A job to be enqueued: ``task``, its name; ``args``, checked, as JSON text; ``options``."""

    task: str
    args: str
    options: Mapping[str, Any]

    def using(self, **options: Unpack[Options]) -> NewJob:
        """Return the same job with other options; ConfigError for a wrong one."""
        return new_job(self.task, self.args, with_options(self.options, options))


def new_job(task: str, args: str, options: Mapping[str, Any]) -> NewJob:
    """Return a job of checked options; what is unique by its arguments gets its key of them."""
    return NewJob(task, args, with_key(task, args, options) if "unique" in options else options)


# No escapes beyond ASCII: a database that is not UTF-8 may know the letter, and not its escape.
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def envelope(job: NewJob) -> tuple[str, str]:
    """Return what stands before and after the arguments in the document of a job."""
    rest = f",{_encode(job.options)[1:]}" if job.options else "}"
    return f'{{"task":{_encode(job.task)},"args":', rest


class Enqueued(msgspec.Struct, frozen=True):
    """What became of an enqueue: the job's ``id`` and ``state``.

    ``duplicate``: a job with the same unique key was there; it is that one. ``replaced``: it
    waited, and was changed as ``unique`` says; else it is as it was.
    """

    id: int
    duplicate: bool
    state: JobState
    replaced: bool = False
