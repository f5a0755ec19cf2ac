"""Family C: side tasks that end silently when code of nobody's choosing raises."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from pgqueue import App
from pgqueue.worker.finish.writer import Writer
from tests.harness.waiting import eventually
from tests.past.test_shutdown import failing
from tests.worker.support import Eyes, nth, working


@pytest.mark.past_bug(58)
@pytest.mark.parametrize("name", ["finish", "settle"])
async def test_the_completer_begins_again(
    app: App, eyes: Eyes, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the worker ends with an error: what it must not do is live on and write nothing."""
    method, _ = failing(1, getattr(Writer, name))
    monkeypatch.setattr(Writer, name, method)

    @app.task(max_attempts=1)
    async def work(n: int) -> None:
        if n % 2:
            raise ValueError(n)

    async with working(app):
        await app.aenqueue_many([work.job(n) for n in range(10)])
        await eyes.settled(completed=5, dead=5)


class Odd(logging.Filter):
    """A filter of the user's that raises; handlers catch their errors, filters do not."""

    def __init__(self, says: str) -> None:
        super().__init__()
        self.says = says

    def filter(self, record: logging.LogRecord) -> bool:
        if self.says in str(record.msg):
            raise KeyError("a filter of the user's")
        return True


@pytest.fixture
def filtered(request: pytest.FixtureRequest) -> Iterator[None]:
    logger, odd = logging.getLogger("pgqueue.worker"), Odd(request.param)
    logger.addFilter(odd)
    logger.setLevel(logging.DEBUG)
    yield
    logger.removeFilter(odd)
    logger.setLevel(logging.NOTSET)


@pytest.mark.past_bug(58)
@pytest.mark.usefixtures("filtered")
@pytest.mark.parametrize("filtered", ["failed in attempt", ") completed in"], indirect=True)
async def test_a_log_line_that_fails_costs_no_job_its_outcome(app: App, eyes: Eyes) -> None:
    @app.task(max_attempts=1)
    async def work(n: int) -> None:
        if n % 2:
            raise ValueError(n)

    async with working(app, concurrency=2):
        await app.aenqueue_many([work.job(n) for n in range(10)])
        await eyes.settled(completed=5, dead=5)


@pytest.mark.past_bug(58)
@pytest.mark.usefixtures("filtered")
@pytest.mark.parametrize("filtered", ["was not this worker's any more"], indirect=True)
async def test_a_log_line_that_fails_does_not_end_the_completer(app: App, eyes: Eyes) -> None:
    gate, started = asyncio.Event(), list[int]()

    @app.task
    async def wait(n: int) -> None:
        started.append(n)
        await gate.wait()

    ids = [one.id for one in await app.aenqueue_many([wait.job(n) for n in range(3)])]
    async with working(app):
        await eventually(nth(started, 3))
        await eyes.sql("delete from pgqueue.job where id = $1", ids[0])
        gate.set()
        await wait.aenqueue(3)
        await eyes.settled(completed=3)
