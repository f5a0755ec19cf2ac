"""Enqueue by task name, where the code of the task is not at hand; the base of App."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, TypeVar, Unpack

from pgqueue import calls, failpoints, joined
from pgqueue.bulk import back_in_order, check_jobs, in_key_order
from pgqueue.calls import answers, new, plain
from pgqueue.config import (
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_PRIORITY,
    DEFAULT_QUEUE,
    check_int,
    check_task_name,
    schema_from_environment,
)
from pgqueue.db.connect import pooler_of
from pgqueue.db.pool import Ended, Pool
from pgqueue.db.source import GivenDsn
from pgqueue.db.statements import check_schema_name
from pgqueue.errors import ConfigError
from pgqueue.fullness import Wait, apatient, full, patient, question
from pgqueue.job import Enqueued, NewJob, Options, new_job, with_options
from pgqueue.operations import Operations, ScheduleOperations
from pgqueue.operations.verbs import here
from pgqueue.payload import encode_untyped
from pgqueue.within import Joining, Provider

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["Client"]

T = TypeVar("T")
_Options = Mapping[str, Any]
_DEFAULTS: _Options = {
    "queue": DEFAULT_QUEUE,
    "priority": DEFAULT_PRIORITY,
    "max_attempts": DEFAULT_MAX_ATTEMPTS,
}


class _Bounds(TypedDict):
    seconds: float
    size: int


class Client(Joining, Operations, ScheduleOperations):
    """A way into the queue without the tasks' code.

    ``dsn``: ``postgresql://...`` or ``embedded:DIR``; by default PGQUEUE_DSN, read when first
    needed; or a function that returns it, asked in each process for each new connection.
    ``schema``: by default PGQUEUE_SCHEMA or ``pgqueue``. ``pool_size``: connections that threads
    share, and as many for each event loop, opened when first needed. ``max_args_bytes``: how large
    the arguments of one job may be as JSON. ``pgbouncer``: True where the dsn leads through
    PgBouncer in transaction mode, in which nothing may outlive a transaction; "session"
    for its session mode, in which workers listen. ``connection``: a function that returns the
    connection which each enqueue joins, or None; ``using(connection=)`` and ``within`` go before.
    Calls raise ConfigError for a wrong value, SchemaError without the tables, Unreachable without a
    connection in time, OutcomeUnknown if one broke amid a commit; blocking ones SyncInAsync in a
    loop. With ``connection`` they work in its transaction, and raise what its driver raises.
    """

    def __init__(
        self,
        dsn: GivenDsn = None,
        *,
        schema: str | None = None,
        pool_size: int = 5,
        max_args_bytes: int = 1_048_576,
        pgbouncer: bool | Literal["session"] = False,
        connection: Provider | None = None,
    ) -> None:
        super().__init__(connection)
        self.schema = check_schema_name(schema_from_environment() if schema is None else schema)
        self.max_args_bytes = check_int(max_args_bytes, "max_args_bytes", 2, 100_000_000)
        if not isinstance(pgbouncer, bool) and pgbouncer != "session":  # pyright: ignore[reportUnnecessaryComparison]
            raise ConfigError(f'pgbouncer must be True, False or "session", got {pgbouncer!r}')
        self.pool = Pool(
            dsn,
            schema=self.schema,
            size=pool_size,
            pooler=pooler_of(pooled=pgbouncer is True, by_session=pgbouncer == "session"),
        )
        self._calls = calls.Calls(self.schema)
        self.lookout = calls.Lookout()  # whether a worker waits

    def job(
        self, task: str, args: Mapping[str, Any] | None = None, **options: Unpack[Options]
    ) -> NewJob:
        """Return a job as a value, for ``enqueue_many``; arguments by parameter name.

        Raises ConfigError for a wrong option, PayloadError for arguments that cannot be stored.
        """
        return self._job(task, args, _DEFAULTS, options)

    def _job(
        self, task: str, args: _Options | None, defaults: _Options, options: _Options
    ) -> NewJob:
        name = check_task_name(task)
        text = encode_untyped({} if args is None else args, max_bytes=self.max_args_bytes)
        return new_job(name, text, with_options(defaults, options))

    def enqueue(
        self,
        task: str,
        args: Mapping[str, Any] | None = None,
        *,
        connection: object | None = None,
        wait: Wait = None,
        **options: Unpack[Options],
    ) -> Enqueued:
        """Enqueue a job by the task's name; with ``connection``, in its transaction.

        Raises QueueFull where the queue may not hold more. ``wait``: not before so many seconds.
        """
        return self.enqueue_job(self.job(task, args, **options), connection, wait)

    async def aenqueue(
        self,
        task: str,
        args: Mapping[str, Any] | None = None,
        *,
        connection: object | None = None,
        wait: Wait = None,
        **options: Unpack[Options],
    ) -> Enqueued:
        """Enqueue a job by the task's name from async code."""
        return await self.aenqueue_job(self.job(task, args, **options), connection, wait)

    def enqueue_many(
        self, jobs: Iterable[NewJob], *, connection: object | None = None, wait: Wait = None
    ) -> list[Enqueued]:
        """Enqueue many jobs in one call, all or none; answered in their order.

        ``wait``: for so many seconds, until their queues have room; else QueueFull is raised.
        """
        connection = self.join() if connection is None else connection
        checked = check_jobs(jobs)
        return patient(
            lambda: here(self)._enqueue(checked, connection, "enqueue_many"), wait, connection
        )

    async def aenqueue_many(
        self, jobs: Iterable[NewJob], *, connection: object | None = None, wait: Wait = None
    ) -> list[Enqueued]:
        """Enqueue many jobs in one call from async code, all or none; answered in their order."""
        connection = self.join() if connection is None else connection
        checked = check_jobs(jobs)
        return await apatient(lambda: here(self)._aenqueue(checked, connection), wait, connection)

    def enqueue_job(self, job: NewJob, connection: object | None, wait: Wait = None) -> Enqueued:
        """Enqueue a job value on ``connection``, or on the one that ``join`` returns."""
        connection = self.join() if connection is None else connection
        if wait is None:
            return here(self)._enqueue_one(job, connection)
        return patient(lambda: here(self)._enqueue_one(job, connection), wait, connection)

    def _enqueue_one(self, job: NewJob, connection: object | None) -> Enqueued:
        values = plain(job)
        if values is None:
            return self._enqueue((job,), connection, "enqueue")[0]
        if connection is None:
            return self.pool.run(
                lambda c: self._insert_one(c, job, values), what="enqueue", size=len(job.args)
            )
        return joined.enqueue_one(connection, self._calls, self.lookout, job, values)

    async def aenqueue_job(
        self, job: NewJob, connection: object | None, wait: Wait = None
    ) -> Enqueued:
        """Enqueue a job value on ``connection``, or on the one that ``join`` returns."""
        connection = self.join() if connection is None else connection
        if wait is None:
            return await here(self)._aenqueue_one(job, connection)
        return await apatient(lambda: here(self)._aenqueue_one(job, connection), wait, connection)

    async def _aenqueue_one(self, job: NewJob, connection: object | None) -> Enqueued:
        values = plain(job)
        if values is None:
            return (await self._aenqueue((job,), connection))[0]
        if connection is None:
            return await self.pool.arun(
                lambda c: self._insert_one(c, job, values), size=len(job.args)
            )
        return await joined.aenqueue_one(connection, self._calls, self.lookout, job, values)

    def _enqueue(
        self, jobs: Sequence[NewJob], connection: object | None, what: str
    ) -> list[Enqueued]:
        size = sum(len(job.args) for job in jobs)
        ordered, order = in_key_order(jobs, size)
        if connection is None:
            done = self.pool.run(
                lambda c: self._insert(c, ordered), what=what, **self._bounds(jobs, size)
            )
        else:
            done = joined.enqueue_many(connection, self._calls, ordered)
        return back_in_order(done, order)

    async def _aenqueue(self, jobs: Sequence[NewJob], connection: object | None) -> list[Enqueued]:
        size = sum(len(job.args) for job in jobs)
        ordered, order = in_key_order(jobs, size)
        if connection is None:
            done = await self.pool.arun(
                lambda c: self._insert(c, ordered), **self._bounds(jobs, size)
            )
        else:
            done = await joined.aenqueue_many(connection, self._calls, ordered)
        return back_in_order(done, order)

    def _bounds(self, jobs: Sequence[NewJob], size: int) -> _Bounds:
        """How long it may take: the deadline is that of a statement."""
        statements = -(-len(jobs) // calls.CHUNK) + size // calls.CHUNK_CHARACTERS
        return {
            "seconds": self.pool.deadline * max(1, statements),
            "size": min(size, calls.CHUNK_CHARACTERS),
        }

    async def _insert_one(
        self, connection: Connection, job: NewJob, values: tuple[str | int, ...]
    ) -> Enqueued:
        now = time.monotonic()
        look = self.lookout.needed(now)
        if look or self.pool.pooled:
            answer = await connection.fetchval(self._calls.one, *values, look)
            if not answer:
                raise full(await connection.fetch(self._calls.find_full, question((job,))), job)
            return self.lookout.learn(answer, now) if look else new(answer)
        return new(await connection.fetchval(self._calls.quiet, *values))

    async def _room(
        self, connection: Connection, jobs: Sequence[NewJob], rows: list[Record]
    ) -> list[Enqueued]:
        """Return what a statement answered, unless there was no room for its jobs."""
        done = answers(rows)
        if not done:
            raise full(await connection.fetch(self._calls.find_full, question(jobs)), jobs[0])
        return done

    async def _insert(self, connection: Connection, jobs: Sequence[NewJob]) -> list[Enqueued]:
        made = self._calls.many(jobs)
        first, second = next(made, None), next(made, None)
        if first is None:
            return []
        if second is None and not self.pool.pooled:
            return await self._room(connection, jobs, await connection.fetch(first[0], *first[1]))
        done: list[Enqueued] = []
        committing = False
        try:
            async with connection.transaction():
                answer: asyncio.Future[list[Record]] | None = None
                try:
                    for sql, values in chain((first,), (second,) if second else (), made):
                        if answer is not None:
                            done += await self._room(connection, jobs, await answer)
                        answer = asyncio.ensure_future(connection.fetch(sql, *values))
                        await asyncio.sleep(0)  # the server is at work while the next is made
                    if answer is not None:
                        done += await self._room(connection, jobs, await answer)
                    if failpoints.armed is not None:
                        failpoints.armed.reach("enqueue.before_commit", connection.terminate)
                except BaseException:
                    if answer is not None:
                        answer.cancel()
                        await asyncio.wait([answer])
                    raise
                committing = True
        except Exception as exc:
            if connection.is_closed() and not committing:
                raise Ended(f"the connection was lost in a bulk enqueue: {exc}") from exc
            raise
        return done

    def close(self) -> None:
        """Close the connections that blocking calls left open."""
        self.pool.close()

    async def aclose(self) -> None:
        """Close the connections that were opened on the running event loop."""
        await self.pool.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
