"""Rows that are changed by hand, and a process without descriptors."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import AsyncGenerator

import pytest
from tests.chaos.small import SmallArena
from tests.harness.waiting import eventually


@contextlib.asynccontextmanager
async def paused(arena: SmallArena) -> AsyncGenerator[None]:
    """Jobs wait in all queues meanwhile."""
    set_to = "update pgqueue.queue set paused_at = {}"
    await arena.sql(set_to.format("now()"))
    try:
        yield
    finally:
        await arena.sql(set_to.format("null"))
        await arena.sql("select pgqueue.wake(array(select name from pgqueue.queue))")


@pytest.mark.fault("F51")
async def test_stray_claim(arena: SmallArena) -> None:
    """It is released although its worker lives, and is run."""
    stray = "select count(*) from chaos.audit where op = 'u' and token is not null and job = {}"
    async with paused(arena):
        held = "select count(*) from pgqueue.job where worker_id is not null"
        await eventually(lambda: arena.value(f"select ({held}) = 0"), timeout_s=120)
        await arena.strike("stray-claim", lambda: arena.value(held))
        job = arena.last("stray")["job"]
        assert await arena.value(stray.format(job)) == 1
        back = f"select worker_id is null from pgqueue.job where id = {job}"
        await eventually(lambda: arena.value(back), timeout_s=30, what="it is released")
    done = f"select state = 'completed' from pgqueue.jobs where id = {job}"
    await eventually(lambda: arena.value(done), timeout_s=60, what="it is run")


@pytest.mark.fault("F51")
async def test_unreadable(arena: SmallArena) -> None:
    spoilt = "select count(*) from pgqueue.job where run_at < '0001-01-01'"
    resume = "update pgqueue.queue set paused_at = null"

    async def seen() -> bool:
        found = bool(await arena.value(spoilt))
        if found:
            await arena.sql(resume)
        return found

    async with paused(arena):
        await arena.strike("unreadable", seen)
    assert "its row cannot be read" in arena.last("buried")["reason"]
    assert await arena.value(spoilt) == 0


@pytest.mark.fault("F52")
async def test_no_files(arena: SmallArena) -> None:
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in arena.pids()}

    async def seen() -> bool:
        return any(resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] == 3 for pid in limits)

    await arena.strike("no-files", seen)
    after = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in arena.pids()}
    assert after == limits, "no process has ended, and the limit is what it was"
