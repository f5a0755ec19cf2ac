"""What operators change of flows reaches workers that wait, at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pgqueue import App, Flow
from tests.worker.support import Eyes, eyes_on, working

NEVER = 3600.0


@pytest.fixture
async def eyes(dsn: str) -> AsyncIterator[Eyes]:
    async with eyes_on(dsn) as eyes:
        yield eyes


async def test_a_resumed_flow_goes_on(app: App, eyes: Eyes) -> None:
    @app.task(flow=Flow("crm", key="who", key_concurrency=2))
    async def sync(who: str) -> None: ...

    async with working(app, poll_interval=NEVER):
        await sync.aenqueue("acme")
        await eyes.settled(completed=1)
        await app.flows.apause("crm")
        await sync.aenqueue("acme")
        assert (await eyes.states())["blocked"] == 1
        await app.flows.aresume("crm")
        await eyes.settled(completed=2)
        await app.flows.apause("crm", key="acme", new=True)
        await sync.aenqueue("acme")
        await sync.aenqueue("duck")
        await eyes.settled(completed=3, blocked=1)
        await app.flows.aresume("crm", key="acme")
        await eyes.settled(completed=4)


async def test_a_resumed_queue_goes_on(app: App, eyes: Eyes) -> None:
    @app.task(flow=Flow("crm", concurrency=1))
    async def sync() -> None: ...

    async with working(app, poll_interval=NEVER):
        await sync.aenqueue()
        await eyes.settled(completed=1)
        await app.apause("default")
        await sync.aenqueue()
        await app.aresume("default")
        await eyes.settled(completed=2)


async def test_a_raised_limit_and_a_raised_rate_act_at_once(app: App, eyes: Eyes) -> None:
    began, go = asyncio.Semaphore(0), asyncio.Event()

    @app.task(flow=Flow("crm", concurrency=1))
    async def sync() -> None:
        began.release()
        await go.wait()

    @app.task(flow=Flow("smtp", rate="1/h"))
    async def mail() -> None: ...

    async with working(app, poll_interval=NEVER):
        for _ in range(3):
            await sync.aenqueue()
            await mail.aenqueue()
        await began.acquire()
        assert began.locked()
        await app.flows.aset("crm", concurrency=3)
        await began.acquire()
        await began.acquire()
        go.set()
        await app.flows.aset("smtp", rate="1000/s")
        await eyes.settled(completed=6)
