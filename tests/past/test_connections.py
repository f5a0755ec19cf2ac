"""Family B, connections: who listens does not share its session with anybody."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from pgqueue import App
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, at_rest, nth, working

FAR = 600.0


@pytest.mark.past_bug(36)
async def test_the_listener_is_not_one_of_a_pool(app: App, eyes: Eyes) -> None:
    """Whatever happens to the pool's connections, notifications come; a poll would be too late."""
    ran: list[float] = []

    @app.task
    async def note() -> None:
        ran.append(time.monotonic())

    async with working(app, poll_interval=FAR):
        (listener,) = await eventually(lambda: eyes.sessions("pgqueue claim"))
        for n in range(12):
            await eventually(
                lambda: eyes.value("select waiting from pgqueue.queue where name = 'default'")
            )
            if n % 2:
                await eyes.terminate("client")
                # In mid-goodbye an enqueue would be told that its outcome is unknown.
                await eventually(lambda: all(one.is_closed() for one in idle(app)))
            else:
                await app.aclose()
            await note.aenqueue()
            await eventually(nth(ran, n + 1))
        assert await eyes.sessions("pgqueue claim") == [listener]


@pytest.mark.past_bug(36)
async def test_a_listener_ended_again_and_again_listens_again(app: App, eyes: Eyes) -> None:
    """As a pool's maximum age would: each time it listens anew, long before a poll."""
    ran: list[int] = []

    @app.task
    async def note(n: int) -> None:
        ran.append(n)

    async with working(app, poll_interval=FAR) as worker:
        for n in range(5):
            await eventually(lambda: eyes.sessions("pgqueue claim"))
            before = await eyes.sessions("pgqueue claim")
            assert await eyes.terminate("claim") == 1
            await note.aenqueue(2 * n)
            await eventually(nth(ran, 2 * n + 1))
            await eventually(lambda b=before: _replaced(eyes, b))
            await eventually(
                lambda: eyes.value("select waiting from pgqueue.queue where name = 'default'")
            )
            await at_rest(worker)  # what it looks for once it is back would find the job anyway
            await note.aenqueue(2 * n + 1)
            await eventually(nth(ran, 2 * n + 2))
    assert ran == list(range(10))


async def _replaced(eyes: Eyes, before: list[tuple[str, int]]) -> bool:
    now = await eyes.sessions("pgqueue claim")
    return len(now) == 1 and now != before


def idle(app: App) -> list[Any]:
    return [one for state in app.pool.opened.loops.values() for one in state.idle]


@pytest.mark.past_bug(34)
async def test_an_idle_session_in_mid_goodbye_is_not_used(app: App, eyes: Eyes) -> None:
    """The loop has read the server's last word, but not yet the end: nothing need be sent."""

    async def gone() -> bool:
        return not await eyes.sessions("pgqueue client")

    for _ in range(50):
        await app.aenqueue("t")
        await eyes.terminate("client")
        await eventually(gone)
        await app.aenqueue("t")


@pytest.mark.past_bug(34)
async def test_nor_by_a_blocking_call(app: App, eyes: Eyes) -> None:
    async def gone() -> bool:
        return not await eyes.sessions("pgqueue client")

    for _ in range(20):
        await asyncio.to_thread(app.enqueue, "t")
        await eyes.terminate("client")
        await eventually(gone)
        await asyncio.to_thread(app.enqueue, "t")
    await asyncio.to_thread(app.close)
