"""How jobs are gathered, what each comes to, and what a task that takes batches must be."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest

from pgqueue import App, Batch, ConfigError, Flow, LeaseLost, NotInJob, Snooze, current_batch
from pgqueue.batch.gather import Gatherer, outcomes
from pgqueue.completing import Completion
from pgqueue.running import RunningJob

app = App("postgresql://h/d")


class NoTransactions:
    drained = False


def job(number: int, *, crashes: int = 0) -> RunningJob:
    record: Any = {"id": number, "task": "t", "crash_count": crashes, "flow": None}
    return RunningJob(record, 1, cast("Any", NoTransactions()), True)


async def test_a_full_batch_starts_at_once_and_one_that_crashed_is_alone() -> None:
    seen: list[list[int]] = []

    async def handler(items: list[int]) -> None:
        seen.append(items)

    gatherer = Gatherer(handler, size=2, wait=3600, is_async=True)
    jobs = [gatherer.join(job(1), 1), gatherer.join(job(2, crashes=1), 2), gatherer.join(job(3), 3)]
    await asyncio.gather(*jobs)
    assert sorted(seen) == [[1, 3], [2]]


async def test_a_job_that_ends_before_its_batch_begins_is_not_in_it() -> None:
    seen: list[list[int]] = []

    async def handler(items: list[int]) -> None:
        seen.append(items)

    gatherer = Gatherer(handler, size=2, wait=3600, is_async=True)
    first = asyncio.create_task(gatherer.join(job(1), 1))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await asyncio.gather(gatherer.join(job(2), 2), gatherer.join(job(3), 3))
    assert seen == [[2, 3]]


async def test_the_handler_is_cancelled_with_the_last_of_its_jobs() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def handler(items: list[int]) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    gatherer = Gatherer(handler, size=2, wait=3600, is_async=True)
    tasks = [asyncio.create_task(gatherer.join(job(n), n)) for n in range(2)]
    await begun.wait()
    tasks[0].cancel()
    await asyncio.wait([tasks[0]])
    assert not ended.is_set()
    tasks[1].cancel()
    await asyncio.wait([tasks[1]])
    assert ended.is_set()


def test_what_each_job_comes_to() -> None:
    batch = Batch([job(1), job(2), job(3)], cast("Any", NoTransactions()), is_async=True)
    own, all_of_them = ValueError(), KeyError()
    batch.fail(1, own)
    assert outcomes(batch, None) == [None, own, None]
    batch.jobs[0].completion = Completion.COMMITTED
    assert outcomes(batch, all_of_them) == [None, own, all_of_them]
    assert type(outcomes(batch, LeaseLost("lost"))[2]) is Snooze
    for index, error in ((3, own), (-1, own), (0, "no error")):
        with pytest.raises(ConfigError):
            batch.fail(index, cast("Any", error))


async def test_a_job_whose_batch_ended_as_it_was_told_to_end_has_ended_as_its_batch() -> None:
    tasks: list[asyncio.Task[None]] = []

    async def handler(items: list[int]) -> None:
        asyncio.get_running_loop().call_soon(tasks[items[0]].cancel)  # before it hears of the end
        if items == [1]:
            raise LookupError

    gatherer = Gatherer(handler, size=1, wait=3600, is_async=True)
    tasks += [asyncio.create_task(gatherer.join(job(n), n)) for n in range(2)]
    came = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in came] == [type(None), LookupError]


async def test_without_a_thread_the_jobs_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    gatherer = Gatherer(lambda items: None, size=2, wait=3600, is_async=False)
    jobs = [gatherer.join(job(n), n) for n in range(2)]
    came = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(one) for one in came] == [Snooze, Snooze]


async def test_who_fails_a_job_while_it_is_committed_is_too_late_for_all_of_them() -> None:
    class Commits:
        drained = False
        abegin = AsyncMock(return_value=(1, None))

        async def aend(
            self, handle: Any, last: RunningJob, error: Any, *others: RunningJob
        ) -> None:
            batch.fail(1, ValueError("too late"))
            for one in (last, *others):
                one.mark_completed()

    batch = Batch([job(1), job(2)], cast("Any", Commits()), is_async=True)
    async with batch.transaction():
        pass
    assert [one.is_completed for one in batch.jobs] == [True, True]


def test_a_wrong_task_is_refused_as_it_is_made() -> None:
    async def none() -> None: ...
    async def two(items: list[int], more: int) -> None: ...
    async def right(items: list[int]) -> None: ...
    async def no_list(items: int) -> None: ...

    make: Any = app.task
    for function, options, said in (
        (none, {}, "one parameter"),
        (two, {}, "one parameter"),
        (right, {"batch": 0}, "batch must be from 1"),
        (right, {"batch": None, "batch_wait": 1}, "batch_wait=1 is of a batch; give batch="),
        (right, {"batch_wait": -1}, "batch_wait must be"),
        (right, {"timeout": 0.01}, "longer than batch_wait"),
        (right, {"flow": Flow("f", concurrency=1)}, "cannot have a flow"),
    ):
        with pytest.raises(ConfigError, match=said):
            make(**{"batch": 5, **options})(function)
    with pytest.raises(ConfigError, match="must be a list"):
        make(batch=5)(no_list).payload  # noqa: B018
    assert make(batch=5)(right).job(4).args == '{"item":4}'
    with pytest.raises(NotInJob, match="outside of a batch"):
        current_batch()
