"""Completes a job in a transaction of the caller's: on a connection or session of any driver.

``job.transaction(connection)`` begins it and commits it. Where ``job.complete(connection)`` was
called, the caller commits: whether that was done is asked of the database when the handler ends.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from pgqueue.db.pool import Pool
from pgqueue.drivers import arun, async_driver, run, sync_driver
from pgqueue.drivers.faults import sqlstate
from pgqueue.errors import ConfigError
from pgqueue.running import RunningJob
from pgqueue.worker.forked import refuse_in_forks
from pgqueue.worker.run.lost_commit import (
    ask,
    ask_blocking,
    ended_inside,
    not_ours,
    was_committed,
)
from pgqueue.worker.run.own_commit import completing

__all__ = ["CallersTransactions", "not_committed"]

_WITH = "write: with job.transaction(connection)"
_ASYNC_WITH = "write: async with job.transaction(connection)"
_COMPLETE = "write: job.complete(connection)"
_ACOMPLETE = "write: await job.acomplete(connection)"
# After these, or without a word of the server, a commit may have been carried out.
_UNKNOWN = ("08", "57")


class CallersTransactions:
    """``pool``: asked where the answer to a commit is lost."""

    def __init__(self, pool: Pool) -> None:
        self._pid = os.getpid()
        self._pool = pool

    def complete(self, job: RunningJob, connection: object) -> None:
        """Complete a job in a transaction that the caller commits."""
        refuse_in_forks(self._pid)
        if sync_driver(connection, _ACOMPLETE).autocommits(connection):
            raise _no_transaction(job)
        job.mark_in_doubt()
        if not run(connection, *completing(self._pool.schema, job))[0][0]:
            raise not_ours(job)

    async def acomplete(self, job: RunningJob, connection: object) -> None:
        """Do what ``complete`` does, on an asynchronous connection or session."""
        refuse_in_forks(self._pid)
        if await async_driver(connection, _COMPLETE).aautocommits(connection):
            raise _no_transaction(job)
        job.mark_in_doubt()
        if not (await arun(connection, *completing(self._pool.schema, job)))[0][0]:
            raise not_ours(job)

    @contextmanager
    def transaction(self, job: RunningJob, connection: object) -> Generator[None]:
        """Begin; complete the job and commit on the way out, or roll back."""
        refuse_in_forks(self._pid)
        driver = sync_driver(connection, _ASYNC_WITH)
        unit = driver.unit(connection)
        unit.__enter__()
        try:
            yield
            if driver.autocommits(connection):
                raise ended_inside(job)
            if not run(connection, *completing(self._pool.schema, job))[0][0]:
                raise not_ours(job)
        except BaseException as exc:
            with suppress(Exception):  # the error that is on its way says more
                unit.__exit__(type(exc), exc, exc.__traceback__)
            raise
        try:
            unit.__exit__(None, None, None)
        except Exception as exc:
            if _was_refused(exc):
                raise
            ask_blocking(self._pool, job, exc)
        job.mark_completed()

    @asynccontextmanager
    async def atransaction(self, job: RunningJob, connection: object) -> AsyncGenerator[None]:
        """Do what ``transaction`` does, on an asynchronous connection or session.

        A commit is never cancelled: its outcome would be unknown.
        """
        refuse_in_forks(self._pid)
        driver = async_driver(connection, _WITH)
        unit = driver.aunit(connection)
        await unit.__aenter__()
        try:
            yield
            if await driver.aautocommits(connection):
                raise ended_inside(job)
            if not (await arun(connection, *completing(self._pool.schema, job)))[0][0]:
                raise not_ours(job)
        except BaseException as exc:
            with suppress(Exception):
                await unit.__aexit__(type(exc), exc, exc.__traceback__)
            raise
        commit = asyncio.ensure_future(unit.__aexit__(None, None, None))
        cancelled = await _outlast(commit)
        failed = commit.exception()
        if failed is not None:
            if _was_refused(failed):
                raise failed
            await ask(self._pool, job, failed)
        job.mark_completed()
        if cancelled is not None:
            raise cancelled

    async def settle(self, job: RunningJob) -> None:
        """Ask, where ``complete()`` was called, whether it was committed; take in the answer."""
        asking = asyncio.ensure_future(was_committed(self._pool, job))
        await _outlast(asking)
        # An error, as of a function that gives the dsn, tells no more than no answer.
        if asking.cancelled() or asking.exception() is not None or not asking.result():
            job.mark_undone()
        else:
            job.mark_completed()


async def _outlast(work: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Wait until it is done, cancelled or not; return how this was cancelled meanwhile."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as exc:
            cancelled = exc
    return cancelled


def _was_refused(error: BaseException) -> bool:
    """True if the server said that it did not commit."""
    state = sqlstate(error)
    return state is not None and state[:2] not in _UNKNOWN


def _no_transaction(job: RunningJob) -> ConfigError:
    return ConfigError(
        f"no transaction is open on this connection, which is in autocommit: begin one, and call "
        f"complete() of job {job.id} inside it"
    )


def not_committed(job: RunningJob) -> ConfigError:
    """Return the error of a handler that returned before it committed."""
    return ConfigError(
        f"complete() of job {job.id} was called, but its transaction was not committed by the "
        "time that the handler returned; commit it before"
    )
