"""The line of a key that is as long as it may be: what would make it longer is refused."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from pgqueue import App, QueueFull
from pgqueue.flow.value import Flow
from tests.worker.support import Eyes

pytestmark = [pytest.mark.one_turn]


@pytest.fixture
async def sync(app: App, eyes: Eyes) -> Any:
    @app.task(flow=Flow("crm", key="tenant", key_concurrency=1, max_waiting=3))
    async def sync(tenant: str, n: int = 0) -> None: ...

    await eyes.sql(
        "insert into pgqueue.flow (name, declared)"
        """ values ('crm', '{"key_concurrency": 1, "max_waiting": 3}')"""
    )
    return sync


async def waiting(eyes: Eyes) -> int:
    return await eyes.value("select count(*) from pgqueue.job")


async def test_a_line_holds_so_many_and_no_more(app: App, sync: Any, eyes: Eyes) -> None:
    await app.aenqueue_many([sync.job("acme", n) for n in range(3)])
    with pytest.raises(QueueFull) as caught:
        await sync.aenqueue("acme")
    error = caught.value
    assert (error.queue, error.flow, error.key) == ("default", "crm", "acme")
    assert (error.depth, error.limit) == (3, 3)
    await app.aenqueue_many([sync.job("other", n) for n in range(2)])
    with pytest.raises(QueueFull) as caught:
        await app.aenqueue_many([sync.job("other", n) for n in range(2)])  # four would wait
    assert (caught.value.key, caught.value.depth) == ("other", 2)
    with pytest.raises(QueueFull):
        await sync.using(unique_key="k").aenqueue("acme")
    assert await waiting(eyes) == 5


async def test_what_is_due_later_is_not_in_line_yet(sync: Any, app: App, eyes: Eyes) -> None:
    await app.aenqueue_many([sync.job("acme", n) for n in range(3)])
    await sync.using(delay=3600).aenqueue("acme")
    assert await waiting(eyes) == 4


async def test_what_was_admitted_does_not_wait(sync: Any, app: App, eyes: Eyes) -> None:
    await app.aenqueue_many([sync.job("acme", n) for n in range(3)])
    await eyes.sql("select * from pgqueue.admit('crm', 10, 0, 0, '-infinity')")
    assert await eyes.value("select count(*) from pgqueue.job where position is not null") == 1
    await sync.aenqueue("acme")
    with pytest.raises(QueueFull):
        await sync.aenqueue("acme")


async def test_an_operator_may_lift_it(sync: Any, app: App, eyes: Eyes) -> None:
    await app.aenqueue_many([sync.job("acme", n) for n in range(3)])
    await eyes.sql("""update pgqueue.flow set changed = '{"max_waiting": null}'""")
    await sync.aenqueue("acme")
    assert await waiting(eyes) == 4


async def test_sql_fails(sync: Any, app: App, eyes: Eyes) -> None:
    await app.aenqueue_many([sync.job("acme", n) for n in range(3)])
    with pytest.raises(asyncpg.ConfigurationLimitExceededError, match='flow "crm" is full'):
        await eyes.sql(
            """select pgqueue.enqueue('{"task": "sync", "flow": "crm", "flow_key": "acme"}')"""
        )
