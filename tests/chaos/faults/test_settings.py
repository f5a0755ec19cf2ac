"""Settings of the server that change under a worker."""

from __future__ import annotations

import contextlib
from typing import Any

import asyncpg
import pytest
from tests.chaos.small import SmallArena
from tests.harness.waiting import eventually


@pytest.mark.fault("F20")
async def test_read_only(arena: SmallArena) -> None:
    async with arena.visitor() as visitor:

        async def refused() -> Any:
            with contextlib.suppress(asyncpg.ReadOnlySQLTransactionError):
                await visitor.execute("create temp table t (); drop table t")
                await visitor.execute("create table public.t (); drop table public.t")
                return False
            return True

        await arena.strike("read-only", refused)
        await eventually(lambda: _not(refused))


async def _not(probe: Any) -> bool:
    return not await probe()


@pytest.mark.fault("F22")
async def test_tiny_timeouts(arena: SmallArena) -> None:
    before = (await arena.backends()).keys()

    async def cancelled() -> Any:
        with contextlib.suppress(asyncpg.QueryCanceledError):
            await arena.sql("select pg_sleep(0.1)")
            return False
        return True

    await arena.strike("tiny-timeouts", cancelled)
    assert not before & (await arena.backends()).keys()
    assert await arena.value("show statement_timeout") == "0"


@pytest.mark.fault("F23")
async def test_serializable(arena: SmallArena) -> None:
    async def strict() -> Any:
        return await arena.value("show transaction_isolation") == "serializable"

    await arena.strike("serializable", strict)
    assert not await strict()
