"""The special arenas: each runs jobs, and its own faults take effect and heal."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from chaos.arenas import ARENAS, Ground
from chaos.faults.fault import Impossible
from tests.chaos.small import SmallArena, small_arena
from tests.harness.servers import missing

from chaos.faults import ALL

pytestmark = pytest.mark.alone
long = pytest.mark.long


@asynccontextmanager
async def in_arena(name: str, home: Path) -> AsyncGenerator[tuple[SmallArena, Ground], None]:
    """An arena at work; afterwards it must still be."""
    with contextlib.ExitStack() as stack:
        try:
            ground = stack.enter_context(ARENAS[name]())
        except Impossible as exc:
            if os.geteuid() != 0:
                pytest.skip(str(exc))
            ground = missing(str(exc))
        assert ground.without <= ALL.keys()
        assert not ground.faults.keys() & ALL.keys()
        assert all(make().name == known for known, make in ground.faults.items())
        arena = stack.enter_context(small_arena(ground, home))
        await arena.is_well()
        yield arena, ground
        await arena.is_well()


@pytest.mark.fault("F17", "F18", "F19")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("standby-sync", marks=long),
        "standby-async",
        pytest.param("multi-host", marks=long),
    ],
)
async def test_failover(name: str, tmp_path: Path) -> None:
    """The writer is another server afterwards, and has a standby again."""
    async with in_arena(name, tmp_path) as (arena, ground):
        system = "select setting from pg_settings where name = 'data_directory'"
        for make in ground.faults.values():
            before = await arena.value(system)

            async def moved(before: str = before) -> Any:
                return await arena.answers(system) not in (None, before)

            await arena.watch(make(), moved)
            streams = "select count(*) from pg_stat_replication where state = 'streaming'"
            assert await arena.value(streams) == 1
            await arena.is_well()
            if name == "standby-async":
                assert arena.last("failed over")["behind"] > 0


@pytest.mark.fault("F34")
async def test_pgbouncer(tmp_path: Path) -> None:
    async with in_arena("pgbouncer", tmp_path) as (arena, ground), arena.visitor() as visitor:

        async def ended() -> Any:
            return visitor.is_closed()

        await arena.watch(ground.faults["restart-pgbouncer"](), ended)


@pytest.mark.fault("F22", "F23", "F41")
@long
async def test_hostile(tmp_path: Path) -> None:
    async with in_arena("hostile", tmp_path) as (arena, ground):
        async with arena.visitor() as visitor:
            assert await visitor.fetchval("show statement_timeout") == "1500ms"
            assert await visitor.fetchval("show transaction_isolation") == "serializable"
            assert await visitor.fetchval("show search_path") == '""'
        if "full-notify-queue" in ground.faults:

            async def full() -> Any:
                with contextlib.suppress(asyncpg.ProgramLimitExceededError):
                    await arena.sql("notify chaos_nobody")
                    return False
                return True

            await arena.watch(ground.faults["full-notify-queue"](), full)


@pytest.mark.fault("F27")
@long
async def test_server_clock(tmp_path: Path) -> None:
    offset = "select abs(extract(epoch from clock_timestamp()) - $1) > 2"
    async with in_arena("clocks", tmp_path) as (arena, ground):

        async def jumped() -> Any:
            return await arena.answers(offset, time.time())

        await arena.watch(ground.faults["server-clock"](), jumped)
        assert not await jumped()


@pytest.mark.fault("F21")
@long
async def test_full_disk(tmp_path: Path) -> None:
    async with in_arena("small-disk", tmp_path) as (arena, ground):

        async def full() -> Any:
            with contextlib.suppress(asyncpg.DiskFullError):
                await arena.sql("create table public.t as select repeat('x', 1000)")
                await arena.sql("drop table public.t")
                return False
            return True

        await arena.watch(ground.faults["full-disk"](), full)
