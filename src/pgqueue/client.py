"""Enqueue by task name, where the code of the task is not at hand; the base of App."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from pgqueue.config import (
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_PRIORITY,
    DEFAULT_QUEUE,
    check_int,
    check_task_name,
    schema_from_environment,
)
from pgqueue.db.pool import Pool
from pgqueue.db.statements import check_schema_name, statement
from pgqueue.drivers import arun, arun_all, run, run_all
from pgqueue.errors import ConfigError, PayloadError
from pgqueue.job import Enqueued, JobState, NewJob, Options, check_options, envelope
from pgqueue.operations import Operations
from pgqueue.payload import encode_untyped

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["Client"]

T = TypeVar("T")
_CHUNK = 5_000
_STATES = {state.value: state for state in JobState}
_DEFAULTS: Mapping[str, Any] = {
    "queue": DEFAULT_QUEUE,
    "priority": DEFAULT_PRIORITY,
    "max_attempts": DEFAULT_MAX_ATTEMPTS,
}


class Client(Operations):
    """A way into the queue without the tasks' code.

    ``dsn``: ``postgresql://...`` or ``embedded:DIR``; by default PGQUEUE_DSN, read when first
    needed. ``schema``: by default PGQUEUE_SCHEMA or ``pgqueue``. ``pool_size``: connections that
    threads share, and as many for each event loop, opened when first needed. ``max_args_bytes``:
    how large the arguments of one job may be as JSON. ``pgbouncer``: the dsn leads through
    PgBouncer in transaction mode, where nothing may outlive a transaction.
    """

    def __init__(
        self,
        dsn: str | None = None,
        *,
        schema: str | None = None,
        pool_size: int = 5,
        max_args_bytes: int = 1_048_576,
        pgbouncer: bool = False,
    ) -> None:
        self.schema = check_schema_name(schema_from_environment() if schema is None else schema)
        self.max_args_bytes = check_int(max_args_bytes, "max_args_bytes", 2, 100_000_000)
        if not isinstance(pgbouncer, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"pgbouncer must be True or False, got {pgbouncer!r}")
        self.pool = Pool(dsn, schema=self.schema, size=pool_size, pooled=pgbouncer)
        self._enqueue_sql = statement("enqueue_jobs", self.schema)

    def job(
        self, task: str, args: Mapping[str, Any] | None = None, **options: Unpack[Options]
    ) -> NewJob:
        """Return a job as a value, for ``enqueue_many``; arguments by parameter name.

        Raises ConfigError for a wrong option, PayloadError for arguments that cannot be stored.
        """
        if args is not None and not isinstance(args, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise PayloadError(f"args must be a mapping of parameter names, got {args!r:.60}")
        return NewJob(
            check_task_name(task),
            encode_untyped(args or {}, max_bytes=self.max_args_bytes),
            {**_DEFAULTS, **check_options(options)},
        )

    def enqueue(
        self,
        task: str,
        args: Mapping[str, Any] | None = None,
        *,
        connection: object | None = None,
        **options: Unpack[Options],
    ) -> Enqueued:
        """Enqueue a job by the task's name; with ``connection``, in its transaction."""
        return self.enqueue_jobs((self.job(task, args, **options),), connection)[0]

    async def aenqueue(
        self,
        task: str,
        args: Mapping[str, Any] | None = None,
        *,
        connection: object | None = None,
        **options: Unpack[Options],
    ) -> Enqueued:
        """Enqueue a job by the task's name from async code."""
        return (await self.aenqueue_jobs((self.job(task, args, **options),), connection))[0]

    def enqueue_many(
        self, jobs: Iterable[NewJob], *, connection: object | None = None
    ) -> list[Enqueued]:
        """Enqueue many jobs in one call, all or none; answered in their order."""
        return self._enqueue(_check_jobs(jobs), connection, "enqueue_many")

    async def aenqueue_many(
        self, jobs: Iterable[NewJob], *, connection: object | None = None
    ) -> list[Enqueued]:
        """Enqueue many jobs in one call from async code, all or none; answered in their order."""
        return await self.aenqueue_jobs(_check_jobs(jobs), connection)

    def enqueue_jobs(self, jobs: Sequence[NewJob], connection: object | None) -> list[Enqueued]:
        """Enqueue job values on ``connection``, or on one of our own."""
        return self._enqueue(jobs, connection, "enqueue")

    def _enqueue(
        self, jobs: Sequence[NewJob], connection: object | None, what: str
    ) -> list[Enqueued]:
        ordered, order = _in_key_order(jobs)
        if connection is None:
            return _back_in_order(
                self.pool.run(
                    lambda c: self._insert(c, ordered), what=what, seconds=self._seconds(jobs)
                ),
                order,
            )
        texts = list(_documents(ordered))
        if len(texts) == 1:
            return [_enqueued(*row) for row in run(connection, self._enqueue_sql, texts[0])]
        answers = run_all(connection, self._enqueue_sql, texts)
        return _back_in_order([_enqueued(*row) for rows in answers for row in rows], order)

    async def aenqueue_jobs(
        self, jobs: Sequence[NewJob], connection: object | None
    ) -> list[Enqueued]:
        """Enqueue job values on ``connection``, or on one of our own."""
        ordered, order = _in_key_order(jobs)
        if connection is None:
            done = await self.pool.arun(
                lambda c: self._insert(c, ordered), seconds=self._seconds(jobs)
            )
            return _back_in_order(done, order)
        texts = list(_documents(ordered))
        if len(texts) == 1:
            return [_enqueued(*row) for row in await arun(connection, self._enqueue_sql, texts[0])]
        answers = await arun_all(connection, self._enqueue_sql, texts)
        return _back_in_order([_enqueued(*row) for rows in answers for row in rows], order)

    def _seconds(self, jobs: Sequence[NewJob]) -> float:
        """How long it may take: the deadline is that of a statement."""
        return self.pool.deadline * max(1, -(-len(jobs) // _CHUNK))

    async def _insert(self, connection: Connection, jobs: Sequence[NewJob]) -> list[Enqueued]:
        if len(jobs) <= _CHUNK and not self.pool.pooled:
            texts = list(_documents(jobs))
            rows = await connection.fetch(self._enqueue_sql, texts[0]) if texts else []
            return [_enqueued(*row) for row in rows]
        done: list[Enqueued] = []
        async with connection.transaction():
            for text in _documents(jobs):
                rows = await connection.fetch(self._enqueue_sql, text)
                done += [_enqueued(*row) for row in rows]
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


def _documents(jobs: Sequence[NewJob]) -> Iterator[str]:
    """Yield JSON texts of up to so many jobs each. Most jobs share their options with others."""
    rest = iter(jobs)
    while chunk := list(islice(rest, _CHUNK)):
        seen: dict[tuple[str, int], tuple[str, str]] = {}
        parts: list[str] = []
        for job in chunk:
            key = job.task, id(job.options)
            around = seen.get(key)
            if around is None:
                around = seen[key] = envelope(job)
            parts.append(f"{around[0]}{job.args}{around[1]}")
        yield f"[{','.join(parts)}]"


def _in_key_order(jobs: Sequence[NewJob]) -> tuple[Sequence[NewJob], list[int] | None]:
    """Return the jobs in the order of their unique keys, where it takes several statements.

    A statement takes its keys in their order by itself. Two calls that took them in different
    orders, a statement at a time, would wait for each other.
    """
    if len(jobs) <= _CHUNK or not any(job.options.get("unique_key") for job in jobs):
        return jobs, None
    order = sorted(range(len(jobs)), key=lambda n: jobs[n].options.get("unique_key") or "")
    return [jobs[n] for n in order], order


def _back_in_order(done: list[Enqueued], order: list[int] | None) -> list[Enqueued]:
    if order is None:
        return done
    return [one for _, one in sorted(zip(order, done, strict=True), key=lambda pair: pair[0])]


def _enqueued(job_id: int, duplicate: bool, state: str) -> Enqueued:
    return Enqueued(job_id, duplicate, _STATES[state])


def _check_jobs(jobs: Iterable[NewJob]) -> list[NewJob]:
    if not isinstance(jobs, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"jobs must be a list of job values, got {jobs!r:.60}")
    checked = list(jobs)
    for n, job in enumerate(checked):
        if not isinstance(job, NewJob):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(
                f"jobs[{n}] must be a job value, as task.job(...) returns, got {job!r}"
            )
    return checked
