"""Faults of sessions: ended, frozen, refused."""

from __future__ import annotations

from typing import Any

import asyncpg
import psutil
import pytest
from tests.chaos.small import SmallArena
from tests.harness.waiting import eventually


@pytest.mark.fault("F9")
@pytest.mark.parametrize("role", ["claim", "finish", "heartbeat", "duties", "client"])
async def test_terminate(arena: SmallArena, role: str) -> None:
    # Each worker has one, the duties' last; clients have what they need, and may open another.
    least = 1 if role == "client" else len(arena.workers)
    await eventually(lambda: _has(arena, role, least))
    before = await arena.backends()
    mine = {pid for pid, name in before.items() if name == role}
    lost: set[int] = set()

    async def gone() -> Any:
        struck = [event["pids"] for event in arena.events if event["event"] == "terminated"]
        left = (await arena.backends()).keys()
        lost.update(mine - left)
        return {pid for pids in struck for pid in pids} - left

    ended = await arena.strike(f"terminate-{role}", gone)
    assert lost <= set(arena.last("terminated")["pids"])
    if role != "client":
        assert ended <= mine
        after = (await arena.backends()).keys()
        others = {pid for pid, name in before.items() if name not in (role, "client")}
        assert others <= after, "the other roles keep their sessions"
        await eventually(lambda: _has(arena, role))


async def _has(arena: SmallArena, role: str, least: int = 1) -> bool:
    return list((await arena.backends()).values()).count(role) >= least


@pytest.mark.fault("F9")
@pytest.mark.parametrize("name", ["terminate-all", "reset"])
async def test_all(arena: SmallArena, name: str) -> None:
    before = (await arena.backends()).keys()

    async def none() -> Any:
        return not before & (await arena.backends()).keys()

    async with arena.visitor("pgqueue visitor") as visitor:
        await arena.strike(name, none)
        await eventually(visitor.is_closed)


@pytest.mark.fault("F10")
@pytest.mark.parametrize("role", ["claim", "heartbeat"])
async def test_freeze_backend(arena: SmallArena, role: str) -> None:
    async def frozen() -> Any:
        found = [pid for pid, name in (await arena.backends()).items() if name == role]
        return [pid for pid in found if psutil.Process(pid).status() == psutil.STATUS_STOPPED]

    (pid,) = await arena.strike(f"freeze-backend-{role}", frozen)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() != psutil.STATUS_STOPPED


async def _refused(arena: SmallArena) -> bool:
    try:
        await arena.sql("select 1")
    except asyncpg.TooManyConnectionsError:
        return True
    except (OSError, asyncpg.PostgresError):
        return False
    return False


@pytest.mark.fault("F13")
async def test_pool_hog(arena: SmallArena) -> None:
    before = {pid for pid, role in (await arena.backends()).items() if role != "client"}
    await arena.strike("pool-hog", lambda: _refused(arena))
    assert before <= (await arena.backends()).keys()


@pytest.mark.fault("F21")
async def test_too_many_connections(arena: SmallArena) -> None:
    before = (await arena.backends()).keys()
    await arena.strike("too-many-connections", lambda: _refused(arena))
    assert not before & (await arena.backends()).keys()


@pytest.mark.fault("F47")
async def test_herd(arena: SmallArena) -> None:
    async def refused() -> Any:
        try:
            async with arena.visitor():
                return False
        except ConnectionRefusedError:
            return True
        except (OSError, asyncpg.PostgresError):
            return False  # reset while it connected

    await arena.strike("herd", refused)
    came = arena.last("came back")
    assert 4 <= came["most"] < int(came["room"])
