"""The kit as plain functions: for unittest, and for a single look in any test."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack, cast

from pgqueue.admin.info import JobInfo
from pgqueue.app import App
from pgqueue.drained import Drained
from pgqueue.errors import ConfigError
from pgqueue.task import Task
from pgqueue.testing.expect import Wanted
from pgqueue.testing.kit import DRAIN_LIMIT, Kit

__all__ = [
    "aassert_enqueued",
    "adrain",
    "aenqueued",
    "arefute_enqueued",
    "assert_enqueued",
    "drain",
    "enqueued",
    "refute_enqueued",
]

_Task = Task[..., Any]


def _kit(task: object, connection: object) -> Kit:
    if not isinstance(task, Task):
        raise ConfigError(f"name a task, whose app says where to look; got {task!r}")
    return Kit(cast("App", cast("_Task", task).enqueuer), connection)


def enqueued(task: _Task, *, connection: object, **wanted: Unpack[Wanted]) -> list[JobInfo]:
    """Return the jobs of a task that wait or run, as this connection sees them."""
    return _kit(task, connection).enqueued(task, **wanted)


async def aenqueued(task: _Task, *, connection: object, **wanted: Unpack[Wanted]) -> list[JobInfo]:
    """Do what ``enqueued`` does, on an asynchronous connection."""
    return await _kit(task, connection).aenqueued(task, **wanted)


def assert_enqueued(task: _Task, *, connection: object, **wanted: Unpack[Wanted]) -> None:
    """Raise AssertionError unless a job of this task waits or runs that is as wanted."""
    _kit(task, connection).assert_enqueued(task, **wanted)


async def aassert_enqueued(task: _Task, *, connection: object, **wanted: Unpack[Wanted]) -> None:
    """Do what ``assert_enqueued`` does, on an asynchronous connection."""
    await _kit(task, connection).aassert_enqueued(task, **wanted)


def refute_enqueued(task: _Task, *, connection: object, **wanted: Unpack[Wanted]) -> None:
    """Raise AssertionError if a job of this task waits or runs that is as wanted."""
    _kit(task, connection).refute_enqueued(task, **wanted)


async def arefute_enqueued(task: _Task, *, connection: object, **wanted: Unpack[Wanted]) -> None:
    """Do what ``refute_enqueued`` does, on an asynchronous connection."""
    await _kit(task, connection).arefute_enqueued(task, **wanted)


def drain(
    app: App,
    *,
    connection: object,
    queues: Iterable[str] | str | None = None,
    tasks: Iterable[_Task | str] | _Task | str | None = None,
    limit: int = DRAIN_LIMIT,
    raise_errors: bool = True,
) -> Drained:
    """Run what is due, in this thread and in the transaction of this connection: ``Kit.drain``."""
    kit = Kit(app, connection)
    return kit.drain(queues=queues, tasks=tasks, limit=limit, raise_errors=raise_errors)


async def adrain(
    app: App,
    *,
    connection: object,
    queues: Iterable[str] | str | None = None,
    tasks: Iterable[_Task | str] | _Task | str | None = None,
    limit: int = DRAIN_LIMIT,
    raise_errors: bool = True,
) -> Drained:
    """Do what ``drain`` does, on an asynchronous connection and the loop that runs."""
    kit = Kit(app, connection)
    return await kit.adrain(queues=queues, tasks=tasks, limit=limit, raise_errors=raise_errors)
