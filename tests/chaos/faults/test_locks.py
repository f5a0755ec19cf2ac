"""Locks and snapshots that others hold."""

from __future__ import annotations

from typing import Any

import pytest
from chaos.faults.locks import HeldSnapshot, LockTable
from tests.chaos.small import SmallArena


@pytest.mark.fault("F24")
async def test_lock_table(arena: SmallArena) -> None:
    query = "select count(*) from pg_locks where relation = 'pgqueue.job'::regclass and not granted"
    await arena.watch(LockTable("job", "access exclusive"), lambda: arena.value(query))
    assert arena.last("locked")["waited"] > 0


@pytest.mark.fault("F24")
async def test_vacuum_full(arena: SmallArena) -> None:
    query = "select pg_relation_filenode('pgqueue.job')"
    before = await arena.value(query)

    async def rewritten() -> Any:
        return await arena.value(query) not in (before, None)

    await arena.strike("vacuum-full", rewritten)


@pytest.mark.fault("F24")
async def test_create_index(arena: SmallArena) -> None:
    query = (
        "select count(*) from pg_locks where relation = 'pgqueue.job'::regclass"
        " and mode = 'ShareLock' and granted"
    )
    await arena.strike("create-index", lambda: arena.value(query))
    assert await arena.value("select to_regclass('pgqueue.chaos_built')") is None


@pytest.mark.fault("F25")
@pytest.mark.parametrize("writes", [False, True])
async def test_held(arena: SmallArena, writes: bool) -> None:
    horizon = "backend_xid" if writes else "backend_xmin"
    query = (
        f"select max(age({horizon})) > 20 from pg_stat_activity"
        " where application_name = 'chaos fault' and state = 'idle in transaction'"
    )
    await arena.watch(HeldSnapshot(writes=writes, least=1.5), lambda: arena.value(query))


@pytest.mark.fault("F23")
async def test_deadlocks(arena: SmallArena) -> None:
    count = "select deadlocks from pg_stat_database where datname = current_database()"
    before = await arena.value(count)

    async def made() -> Any:
        return await arena.value(count) > before

    await arena.strike("deadlocks", made, tries=5)
    assert await arena.value("show deadlock_timeout") == "1s"
