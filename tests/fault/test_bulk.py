"""A bulk enqueue of several statements whose connection is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from chaos.faults.cutting import Cut, CuttingProxy, Link

from pgqueue import App
from pgqueue.calls import CHUNK
from pgqueue.errors import OutcomeUnknown, Unreachable
from tests.worker.support import Eyes

pytestmark = pytest.mark.usefixtures("app")  # which makes the tables

JOBS = 2 * CHUNK + 10


@pytest.fixture
async def behind(cutting: CuttingProxy) -> AsyncIterator[App]:
    app = App(cutting.dsn)
    yield app
    cutting.heal()
    await app.aclose()


def jobs_of(app: App) -> list[Any]:
    return [app.job("note", {"n": n}) for n in range(JOBS)]


def at(text: bytes, number: int) -> Cut:
    """Cut the connection when the server has the statement of that number with this text in it."""
    seen = 0

    def it_is(link: Link, statement: bytes) -> bool:
        nonlocal seen
        seen += text in statement
        return text in statement and seen == number

    return Cut(it_is, carried_out=True)


@pytest.mark.fault("F14")
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("blocking", [False, True])
async def test_lost_before_the_commit_is_done_again(
    behind: App, cutting: CuttingProxy, eyes: Eyes, number: int, blocking: bool
) -> None:
    """Nothing can have been enqueued, so it is no matter for the caller."""
    cut = at(b".enqueue_alike", number)
    cutting.arm(cut)
    if blocking:
        done = await asyncio.to_thread(behind.enqueue_many, jobs_of(behind))
    else:
        done = await behind.aenqueue_many(jobs_of(behind))
    assert cut.fired == 1
    assert len({one.id for one in done}) == JOBS
    count = "select count(*), count(distinct args ->> 'n') from pgqueue.job"
    assert [tuple(row) for row in await eyes.sql(count)] == [(JOBS, JOBS)]


@pytest.mark.fault("F14")
async def test_lost_in_the_commit_is_unknown(behind: App, cutting: CuttingProxy) -> None:
    await behind.aenqueue_many([])
    cutting.arm(at(b"COMMIT", 1))
    with pytest.raises(OutcomeUnknown):
        await behind.aenqueue_many(jobs_of(behind))


@pytest.mark.fault("F14")
async def test_a_loss_in_the_check_of_the_schema_is_no_matter(
    behind: App, cutting: CuttingProxy, eyes: Eyes
) -> None:
    """The first call of a process looks at the schema: nothing of the caller's was sent yet."""
    cut = Cut(lambda *_: True, carried_out=True)
    cutting.arm(cut)
    await behind.aenqueue("note", {"n": 1})
    assert cut.fired == 1
    assert await eyes.value("select count(*) from pgqueue.job") == 1


@pytest.mark.parametrize("blocking", [False, True])
async def test_who_is_cut_off_each_time_tries_ever_less_often(
    behind: App, cutting: CuttingProxy, blocking: bool
) -> None:
    """As behind a pooler whose server is away: each login succeeds, and no statement does."""
    behind.pool.deadline = 1.5
    cut = Cut(lambda *_: True, carried_out=True, left=10_000)
    cutting.arm(cut)
    args = "note", {"n": 1}
    call = asyncio.to_thread(behind.enqueue, *args) if blocking else behind.aenqueue(*args)
    with pytest.raises(Unreachable):
        await call
    assert 2 <= cut.fired <= 20
