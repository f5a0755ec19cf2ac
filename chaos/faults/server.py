"""Faults of the server as a whole: restarts, outages, crashes."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from chaos.faults.fault import BaseFault, Missed, direct, sessions, settled_within, wait_for

if TYPE_CHECKING:
    from chaos.arena import Arena

__all__ = ["CrashBackend", "Outage", "Restart"]

_START_SECONDS = 60.0


async def started(arena: Arena) -> None:
    """Start the server, and wait until it takes connections."""
    await asyncio.to_thread(arena.cluster.start)
    async with direct(arena):
        pass


class Restart(BaseFault):
    """The server is restarted in order: sessions are ended, and nothing is lost."""

    name = "restart-server"
    label = "F6"
    disruptive = 2.0

    async def strike(self, arena: Arena) -> None:
        before = arena.cluster.pid
        try:
            await asyncio.to_thread(arena.cluster.stop, "fast")
        finally:
            await settled_within(started(arena), _START_SECONDS)
        arena.log("restarted", before=before, after=arena.cluster.pid)


class Outage(BaseFault):
    """The server ends without a checkpoint, and stays away for a while."""

    name = "outage"
    label = "F7"
    disruptive = 6.0

    def __init__(self, least: float = 1.0, most: float = 10.0) -> None:
        self._span = (least, most)

    async def strike(self, arena: Arena) -> None:
        seconds = arena.rng.uniform(*self._span)
        arena.log("stopped", pid=arena.cluster.pid, seconds=round(seconds, 2))
        try:
            await asyncio.to_thread(arena.cluster.stop, "immediate")
            await asyncio.sleep(seconds)
        finally:
            await settled_within(started(arena), _START_SECONDS)


class CrashBackend(BaseFault):
    """One backend is killed with KILL: the server ends all the others, recovers, and goes on."""

    name = "crash-backend"
    label = "F8"
    disruptive = 6.0

    async def strike(self, arena: Arena) -> None:
        async with direct(arena) as own:
            victims = await sessions(own)
            if not victims:
                raise Missed("nobody is connected")
            victim = arena.rng.choice(victims)["pid"]
            arena.log("killed", pid=victim)
            os.kill(victim, signal.SIGKILL)
            if not await wait_for(own.is_closed, seconds=20.0):
                raise AssertionError("the server went on as if nothing had happened")
        async with direct(arena, patience=_START_SECONDS):
            pass
