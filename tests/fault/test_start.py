"""A worker that is started while its server is away waits for it; what is set wrong, it says."""

from __future__ import annotations

import asyncio
import logging

import pytest

from pgqueue import App, SchemaError, Worker
from tests.harness.proxy import Proxy
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, no_tasks_left, quick

WAITS = "the worker waits for its server before it starts"


def lines(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("outage", ["refused", "silent"])
async def test_a_start_waits_for_the_server_and_says_so_once(
    eyes: Eyes, proxy: Proxy, caplog: pytest.LogCaptureFixture, outage: str
) -> None:
    app = App(proxy.dsn)

    @app.task
    async def note() -> None: ...

    await note.aenqueue()
    await app.aclose()
    if outage == "refused":
        proxy.refuse()
    else:
        proxy.blackhole()
        app.pool.deadline = 0.3
    tries: list[int] = []
    real = app.pool.acheck

    async def counted() -> None:
        tries.append(1)
        await real()

    app.pool.acheck = counted  # type: ignore[method-assign]
    worker = Worker(app, **quick(deadline=1.0))
    with caplog.at_level(logging.INFO, "pgqueue.worker"):
        starting = asyncio.ensure_future(worker.start())
        await eventually(lambda: len(tries) >= 4, timeout_s=60)
        assert not starting.done()
        app.pool.deadline = 30.0
        proxy.cut()
        proxy.heal()
        await asyncio.wait_for(starting, 60)
        await eyes.settled(completed=1)
    assert lines(caplog, WAITS) == 1
    assert lines(caplog, "the server is there, after") == 1
    await worker.stop()
    await no_tasks_left()
    await app.aclose()


async def test_a_request_to_stop_ends_the_wait(proxy: Proxy, eyes: Eyes) -> None:
    app = App(proxy.dsn)

    @app.task
    async def note() -> None: ...

    proxy.refuse()
    waits = asyncio.Event()
    real = app.pool.acheck

    async def noted() -> None:
        waits.set()
        await real()

    app.pool.acheck = noted  # type: ignore[method-assign]
    worker = Worker(app, **quick())
    running = asyncio.ensure_future(worker.run())
    await asyncio.wait_for(waits.wait(), 60)
    worker.request_stop()
    await asyncio.wait_for(running, 60)
    await no_tasks_left()
    assert await eyes.worker_ids() == set()


async def test_a_server_that_goes_away_between_two_connections_of_the_start_is_waited_for(
    eyes: Eyes, proxy: Proxy
) -> None:
    app = App(proxy.dsn)

    @app.task
    async def note() -> None: ...

    real = app.pool.acheck
    checked: list[int] = []

    async def then_gone() -> None:
        await real()
        checked.append(1)
        if len(checked) == 1:
            proxy.refuse()
            proxy.cut()
        else:
            assert len(checked) == 2

    app.pool.acheck = then_gone  # type: ignore[method-assign]
    worker = Worker(app, **quick())
    starting = asyncio.ensure_future(worker.start())
    await eventually(lambda: checked == [1], timeout_s=60)
    proxy.heal()
    await asyncio.wait_for(starting, 60)
    assert len(await eyes.worker_ids()) == 1
    await worker.stop()
    await no_tasks_left()


async def test_a_schema_that_is_missing_is_not_waited_for(empty_dsn: str) -> None:
    app = App(empty_dsn)

    @app.task
    async def note() -> None: ...

    with pytest.raises(SchemaError, match="pgqueue migrate"):
        await asyncio.wait_for(Worker(app, **quick()).start(), 60)
    await no_tasks_left()
