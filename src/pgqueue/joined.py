"""Enqueues on a connection that the caller owns, as it is said in a call or by ``join``.

Where a queue is full, nothing is written, and the transaction goes on; but where some jobs of a
call of several statements are written already, the transaction is made to fail.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NoReturn

from pgqueue.calls import Calls, Lookout, Values, answers, new
from pgqueue.drivers import Row, arun, arun_all, run, run_all
from pgqueue.errors import PgQueueError
from pgqueue.fullness import full, question
from pgqueue.job import Enqueued, NewJob

__all__ = ["aenqueue_many", "aenqueue_one", "enqueue_many", "enqueue_one"]


def enqueue_one(
    connection: object, calls: Calls, lookout: Lookout, job: NewJob, values: Values
) -> Enqueued:
    """Enqueue a job that has none but the options of every job."""
    # Many blocking drivers prepare nothing, and would have an INSERT planned each time.
    now = time.monotonic()
    look = lookout.needed(now)
    ((answer,),) = run(connection, calls.one, *values, look)
    if not answer:
        _refuse(connection, calls, (job,), partly=False)
    return lookout.learn(answer, now) if look else new(answer)


async def aenqueue_one(
    connection: object, calls: Calls, lookout: Lookout, job: NewJob, values: Values
) -> Enqueued:
    """Do what ``enqueue_one`` does, on an asynchronous connection."""
    now = time.monotonic()
    if lookout.needed(now):
        ((answer,),) = await arun(connection, calls.one, *values, True)
        if not answer:
            await _arefuse(connection, calls, (job,), partly=False)
        return lookout.learn(answer, now)
    return new(*(await arun(connection, calls.quiet, *values))[0])


def enqueue_many(connection: object, calls: Calls, jobs: Sequence[NewJob]) -> list[Enqueued]:
    """Enqueue jobs, all or none."""
    done: list[Enqueued] = []

    def check(rows: list[Row]) -> None:
        more = answers(rows)
        if not more:
            _refuse(connection, calls, jobs, partly=bool(done))
        done.extend(more)

    run_all(connection, list(calls.many(jobs)), check)
    return done


async def aenqueue_many(connection: object, calls: Calls, jobs: Sequence[NewJob]) -> list[Enqueued]:
    """Do what ``enqueue_many`` does, on an asynchronous connection."""
    done: list[Enqueued] = []

    async def check(rows: list[Row]) -> None:
        more = answers(rows)
        if not more:
            await _arefuse(connection, calls, jobs, partly=bool(done))
        done.extend(more)

    await arun_all(connection, list(calls.many(jobs)), check)
    return done


def _refuse(connection: object, calls: Calls, jobs: Sequence[NewJob], *, partly: bool) -> NoReturn:
    asked = question(jobs)
    error = full(run(connection, calls.find_full, asked), jobs[0])
    if partly:
        try:
            run(connection, calls.refuse_full, asked)
        except PgQueueError:
            raise
        except Exception as exc:
            raise error from exc
    raise error


async def _arefuse(
    connection: object, calls: Calls, jobs: Sequence[NewJob], *, partly: bool
) -> NoReturn:
    asked = question(jobs)
    error = full(await arun(connection, calls.find_full, asked), jobs[0])
    if partly:
        try:
            await arun(connection, calls.refuse_full, asked)
        except PgQueueError:
            raise
        except Exception as exc:
            raise error from exc
    raise error
