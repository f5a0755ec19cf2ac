"""What a test asks of an app's jobs, on the connection of the test."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, Unpack

from pgqueue.admin.info import JobInfo
from pgqueue.app import App
from pgqueue.config import check_int, check_queue
from pgqueue.drained import Drained
from pgqueue.errors import ConfigError
from pgqueue.task import Task
from pgqueue.testing.expect import Expected, Wanted
from pgqueue.testing.inline import InlineRunner
from pgqueue.testing.look import live_jobs
from pgqueue.testing.report import not_as_expected
from pgqueue.testing.wire import Wire, at_once

__all__ = ["DRAIN_LIMIT", "Enqueues", "Kit", "TaskOrName"]

DRAIN_LIMIT = 1_000
"""Attempts that a drain makes at most."""

TaskOrName = Task[..., Any] | str | None
_Names = Iterable[str] | str | None


class Kit:
    """The jobs of an app as one connection sees them, with what its transaction has not committed.

    ``connection``: of asyncpg, psycopg, psycopg2, SQLAlchemy or Django, as for an enqueue. It stays
    the caller's: nothing here commits or rolls back. Names that begin with an "a" are awaited, and
    are for asynchronous connections.
    """

    def __init__(self, app: App, connection: object) -> None:
        if not isinstance(app, App):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"tests of jobs need an App, got {app!r}")
        self.app = app
        self.connection = connection

    @contextmanager
    def joined(self) -> Generator[Self]:
        """Let each enqueue of the app that names no connection join this one, in any thread."""
        before = self.app._provider  # pyright: ignore[reportPrivateUsage]
        self.app._provider = lambda: self.connection  # pyright: ignore[reportPrivateUsage]
        try:
            yield self
        finally:
            self.app._provider = before  # pyright: ignore[reportPrivateUsage]

    # -- look

    def enqueued(self, task: TaskOrName = None, **wanted: Unpack[Wanted]) -> list[JobInfo]:
        """Return the jobs that wait or run and are as wanted, the oldest first."""
        return at_once(self._enqueued(self._wire(), self._expected(task, wanted)))

    async def aenqueued(self, task: TaskOrName = None, **wanted: Unpack[Wanted]) -> list[JobInfo]:
        """Do what ``enqueued`` does."""
        return await self._enqueued(self._awire(), self._expected(task, wanted))

    def assert_enqueued(self, task: TaskOrName = None, **wanted: Unpack[Wanted]) -> None:
        """Raise AssertionError unless such a job waits or runs; see ``Wanted`` for what to ask."""
        expected = self._expected(task, wanted)
        _check(expected, at_once(live_jobs(self._wire())))

    async def aassert_enqueued(self, task: TaskOrName = None, **wanted: Unpack[Wanted]) -> None:
        """Do what ``assert_enqueued`` does."""
        expected = self._expected(task, wanted)
        _check(expected, await live_jobs(self._awire()))

    def refute_enqueued(self, task: TaskOrName = None, **wanted: Unpack[Wanted]) -> None:
        """Raise AssertionError if such a job waits or runs."""
        expected = self._expected(task, wanted)
        _check(expected, at_once(live_jobs(self._wire())), none=True)

    async def arefute_enqueued(self, task: TaskOrName = None, **wanted: Unpack[Wanted]) -> None:
        """Do what ``refute_enqueued`` does."""
        expected = self._expected(task, wanted)
        _check(expected, await live_jobs(self._awire()), none=True)

    def assert_enqueues(self, task: TaskOrName = None, **wanted: Unpack[Wanted]) -> Enqueues:
        """Return a block, ``with`` or ``async with``, that is to enqueue such a job.

        What was enqueued before does not count.
        """
        return Enqueues(self, self._expected(task, wanted), none=False)

    def refute_enqueues(self, task: TaskOrName = None, **wanted: Unpack[Wanted]) -> Enqueues:
        """Return a block, ``with`` or ``async with``, that is to enqueue no such job."""
        return Enqueues(self, self._expected(task, wanted), none=True)

    # -- run

    def drain(
        self,
        *,
        queues: _Names = None,
        tasks: Iterable[TaskOrName] | TaskOrName = None,
        limit: int = DRAIN_LIMIT,
        raise_errors: bool = True,
    ) -> Drained:
        """Run what is due, and what that enqueues, in this thread and this transaction.

        Returns how many attempts ended how; ``{}`` if nothing was due. A job that fails raises what
        its task raised, once its outcome is written; with ``raise_errors=False`` it is one of
        ``failures``. ConfigError if jobs are still due after ``limit`` attempts.
        """
        runner = self._runner(self._wire(), queues, tasks, limit, raise_errors=raise_errors)
        return at_once(runner.drain())

    async def adrain(
        self,
        *,
        queues: _Names = None,
        tasks: Iterable[TaskOrName] | TaskOrName = None,
        limit: int = DRAIN_LIMIT,
        raise_errors: bool = True,
    ) -> Drained:
        """Do what ``drain`` does, on an asynchronous connection, and on the loop that runs."""
        runner = self._runner(self._awire(), queues, tasks, limit, raise_errors=raise_errors)
        return await runner.drain()

    # -- what they share

    def _wire(self) -> Wire:
        return Wire(self.connection, self.app.schema, asynchronous=False)

    def _awire(self) -> Wire:
        return Wire(self.connection, self.app.schema, asynchronous=True)

    def _expected(self, task: TaskOrName, wanted: Wanted) -> Expected:
        known = self._known(task)
        return Expected(None if known is None else known.name, known, dict(wanted))

    def _known(self, task: TaskOrName) -> Task[..., Any] | None:
        if isinstance(task, str):
            return self.app.tasks.get(task)
        if task is not None and not isinstance(task, Task):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"task must be a task or its name, got {task!r}")
        return task

    @staticmethod
    async def _enqueued(wire: Wire, expected: Expected) -> list[JobInfo]:
        return [job for job in await live_jobs(wire) if not expected.differences(job)]

    def _runner(
        self,
        wire: Wire,
        queues: _Names,
        tasks: Iterable[TaskOrName] | TaskOrName,
        limit: int,
        *,
        raise_errors: bool,
    ) -> InlineRunner:
        given = [tasks] if isinstance(tasks, str | Task) or tasks is None else list(tasks)
        wanted = [known for one in given if (known := self._known(one)) is not None]
        if not (wanted or self.app.tasks):
            raise ConfigError("this app has no tasks; are the modules that define them imported?")
        chosen = wanted or self.app.tasks
        by_name = {name: task for task in chosen for name in (task.name, *task.aliases)}
        names = [queues] if isinstance(queues, str) else list(queues or ())
        return InlineRunner(
            self.app,
            wire,
            by_name,
            queues=[check_queue(name) for name in names],
            limit=check_int(limit, "limit", 1, 1_000_000),
            raise_errors=raise_errors,
        )


class Enqueues:
    """A block that is to enqueue some job, or none; what ``assert_enqueues`` returns."""

    def __init__(self, kit: Kit, expected: Expected, *, none: bool) -> None:
        self._kit = kit
        self._expected = expected
        self._none = none
        self._before: frozenset[int] = frozenset()

    def __enter__(self) -> Self:
        self._before = frozenset(job.id for job in self._kit.enqueued())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._look(self._kit.enqueued())

    async def __aenter__(self) -> Self:
        self._before = frozenset(job.id for job in await self._kit.aenqueued())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._look(await self._kit.aenqueued())

    def _look(self, jobs: list[JobInfo]) -> None:
        came = [job for job in jobs if job.id not in self._before]
        _check(self._expected, came, none=self._none)


def _check(expected: Expected, jobs: list[JobInfo], *, none: bool = False) -> None:
    if (wrong := not_as_expected(expected, jobs, none=none)) is not None:
        raise AssertionError(wrong)
