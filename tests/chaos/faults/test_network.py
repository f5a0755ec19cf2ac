"""Faults of the network: silence, delay, loss; notifications lost or doubled."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg
import pytest
from tests.chaos.small import SmallArena
from tests.harness.waiting import eventually


async def _hangs(connection: asyncpg.Connection) -> bool:
    asking = asyncio.ensure_future(connection.fetchval("select 1"))
    done, _ = await asyncio.wait([asking], timeout=0.3)
    asking.add_done_callback(lambda task: task.cancelled() or task.exception())
    return not done


@pytest.mark.fault("F10")
async def test_blackhole(arena: SmallArena) -> None:
    async with arena.visitor() as visitor:
        assert await arena.strike("blackhole", lambda: _hangs(visitor))
    assert await arena.value("select 1") == 1


@pytest.mark.fault("F10")
@pytest.mark.parametrize("name", ["silence-claim", "silence-heartbeat-and-new"])
async def test_silence(arena: SmallArena, name: str) -> None:
    """The connections of a role hang, and those of nobody else."""
    role = "pgqueue " + name.split("-")[1]

    async def hung() -> Any:
        async with arena.visitor() as another:
            assert await another.fetchval("select 1") == 1
        if name.endswith("new"):
            try:
                await asyncpg.connect(
                    arena.worker_dsn, timeout=0.3, server_settings={"application_name": role}
                )
            except TimeoutError:
                return True
            return False
        return await _hangs(one)

    async with arena.visitor(role) as one:
        await arena.strike(name, hung)


@pytest.mark.fault("F11")
async def test_drop_packets(arena: SmallArena) -> None:
    async def lost() -> Any:
        try:
            async with asyncio.timeout(0.5):
                async with arena.visitor():
                    return False
        except TimeoutError:
            return True

    await arena.strike("drop-packets", lost)
    assert arena.last("dropped")["packets"] > 0
    async with arena.visitor() as visitor:
        assert await visitor.fetchval("select 1") == 1


async def _round_trip(arena: SmallArena, size: int = 1) -> float:
    async with arena.visitor() as visitor:
        began = time.monotonic()
        await visitor.fetchval("select repeat('x', $1)", size)
        return time.monotonic() - began


@pytest.mark.fault("F12")
async def test_latency(arena: SmallArena) -> None:
    async def slow() -> Any:
        return await _round_trip(arena) >= 2 * 0.025

    await arena.strike("latency", slow)


@pytest.mark.fault("F12")
async def test_stalls(arena: SmallArena) -> None:
    async with arena.visitor() as visitor:

        async def stands() -> Any:
            began = time.monotonic()
            await visitor.fetchval("select 1")
            return time.monotonic() - began >= 0.05

        await arena.strike("stalls", stands)


@pytest.mark.fault("F12")
async def test_narrow(arena: SmallArena) -> None:
    async def narrow() -> Any:
        return await _round_trip(arena, 5000) >= 0.5

    await arena.strike("narrow", narrow)


@pytest.mark.fault("F42")
@pytest.mark.parametrize("copies", [0, 2])
async def test_notifications(arena: SmallArena, copies: int) -> None:
    heard: list[str] = []
    async with arena.visitor() as visitor:
        await visitor.add_listener("chaos_test", lambda *args: heard.append(args[3]))

        async def lost_or_doubled() -> Any:
            heard.clear()
            await visitor.execute("notify chaos_test, 'x'")
            await visitor.execute("select 1")
            return len(heard) == copies

        name = "lose-notifications" if copies == 0 else "repeat-notifications"
        await arena.strike(name, lost_or_doubled)
        heard.clear()
        await visitor.execute("notify chaos_test, 'x'")
        await eventually(lambda: len(heard) == 1)
