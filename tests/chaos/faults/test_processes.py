"""Faults of processes: ended, frozen, replaced, doubled."""

from __future__ import annotations

from typing import Any

import psutil
import pytest
from tests.chaos.small import SmallArena
from tests.harness.waiting import eventually


@pytest.mark.fault("F1")
async def test_kill_child(arena: SmallArena) -> None:
    before, supervisors = arena.pids(), {worker.pid for worker in arena.workers}

    async def gone() -> Any:
        return before - arena.pids()

    assert len(await arena.strike("kill-child", gone)) == 1
    assert {worker.pid for worker in arena.workers} == supervisors
    assert len(arena.pids() - before) == 1


@pytest.mark.fault("F1", "F3")
@pytest.mark.parametrize("name", ["kill-supervisor", "kill-all", "stop-twice", "stop-then-kill"])
async def test_a_supervisor_ends(arena: SmallArena, name: str) -> None:
    before, children = {worker.pid for worker in arena.workers}, arena.pids()

    async def gone() -> Any:
        return before - {worker.pid for worker in arena.workers}

    await arena.strike(name, gone)
    assert len({worker.pid for worker in arena.workers} - before) == 1
    assert len(arena.pids() & children) == 1
    assert len(arena.pids()) == 2


@pytest.mark.fault("F2")
async def test_lose_host(arena: SmallArena) -> None:
    """The process is gone, and the server has not noticed."""
    children = arena.pids()
    orphans = (
        "select count(*) from pgqueue.worker join pg_stat_activity as session"
        " on session.pid = session_pid and session.backend_start = session_start"
        " where worker.pid = any ($1::int[])"
    )

    async def vanished() -> Any:
        dead = [pid for pid in children if not psutil.pid_exists(pid)]
        return dead and await arena.value(orphans, dead)

    await arena.strike("lose-host", vanished)
    assert len(arena.pids() & children) == 1


@pytest.mark.fault("F3")
async def test_stop_in_order(arena: SmallArena) -> None:
    before = {worker.pid for worker in arena.workers}

    async def stopping() -> Any:
        return await arena.value("select count(*) < 2 or bool_or(stopping) from pgqueue.worker")

    await arena.strike("stop", stopping)
    assert arena.last("stopped")["code"] == 0
    assert len({worker.pid for worker in arena.workers} - before) == 1


@pytest.mark.fault("F3")
async def test_replace(arena: SmallArena) -> None:
    before, supervisors = arena.pids(), {worker.pid for worker in arena.workers}

    async def both() -> Any:
        return len(arena.pids()) > 2

    await arena.strike("replace", both)
    assert {worker.pid for worker in arena.workers} == supervisors
    assert len(arena.pids() - before) == 1


@pytest.mark.fault("F29", "F30")
@pytest.mark.parametrize("name", ["freeze", "freeze-long"])
async def test_freeze(arena: SmallArena, name: str) -> None:
    workers = {row[0] for row in await arena.sql("select id from pgqueue.worker")}

    async def still() -> Any:
        states = [psutil.Process(pid).status() for pid in arena.pids()]
        return psutil.STATUS_STOPPED in states

    await arena.strike(name, still)
    assert not await still()
    if name == "freeze-long":
        query = "select not exists (select from pgqueue.worker where id = any ($1::bigint[])) or"
        query += " count(*) filter (where id <> all ($1::bigint[])) > 0 from pgqueue.worker"
        await eventually(lambda: arena.value(query, list(workers)), what="it registers anew")


@pytest.mark.fault("F32")
async def test_twins(arena: SmallArena) -> None:
    query = "select exists (select from pgqueue.worker group by host, pid having count(*) > 1)"

    async def alike() -> Any:
        return await arena.answers(query)

    await arena.strike("twins", alike)
    await eventually(lambda: arena.value("select count(*) = 2 from pgqueue.worker"))
