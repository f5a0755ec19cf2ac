"""Faults of the server: restarts, outages, a crash."""

from __future__ import annotations

from typing import Any

import pytest
from chaos.faults.server import Outage
from tests.chaos.small import SmallArena


@pytest.mark.fault("F6")
async def test_restart(arena: SmallArena) -> None:
    began = await arena.value("select pg_postmaster_start_time()")

    async def away() -> Any:
        return await arena.answers("select 1") is None

    await arena.strike("restart-server", away)
    assert await arena.value("select pg_postmaster_start_time()") > began


@pytest.mark.fault("F7")
async def test_outage(arena: SmallArena) -> None:
    async def away() -> Any:
        return not arena.cluster.is_running and await arena.answers("select 1") is None

    await arena.watch(Outage(0.5), away)
    assert arena.cluster.is_running


@pytest.mark.fault("F8")
async def test_crash_backend(arena: SmallArena) -> None:
    before, postmaster = await arena.backends(), arena.cluster.pid
    assert before

    async def away() -> Any:
        return await arena.answers("select 1") is None

    await arena.strike("crash-backend", away)
    assert not before.keys() & (await arena.backends()).keys()
    assert arena.cluster.pid == postmaster
