"""Faults of single sessions, as the server makes them: ended, frozen, refused."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any

import asyncpg

from chaos.faults.fault import OURS, BaseFault, Missed, direct, proxy_of, sessions, wait_for

if TYPE_CHECKING:
    from chaos.arena import Arena

__all__ = ["ROLES", "FreezeBackend", "Full", "Herd", "TerminateRole"]

ROLES = ("claim", "finish", "heartbeat", "duties", "client", "task")
_FIND_SECONDS = 3.0
_MOST = 1000


class TerminateRole(BaseFault):
    """The sessions of one role of all workers, or of a single one, are ended by the server."""

    label = "F9"

    def __init__(self, role: str) -> None:
        self.name = f"terminate-{role}"
        self.disruptive = 3.0
        self._role = role

    async def strike(self, arena: Arena) -> None:
        async with direct(arena) as own:
            # Those of clients come and go.
            found = await wait_for(lambda: sessions(own, self._role), seconds=_FIND_SECONDS)
            if not found:
                raise Missed(f"nobody is connected as {self._role}")
            one = arena.rng.random() < 0.5 and self._role != "all"
            victims = [arena.rng.choice(found)] if one else found
            arena.log("terminated", pids=[row["pid"] for row in victims], role=self._role)
            for row in victims:
                await own.execute("select pg_terminate_backend($1)", row["pid"])
            pids = [row["pid"] for row in victims]
            gone = "select not exists (select from pg_stat_activity where pid = any ($1::int[]))"
            await wait_for(lambda: own.fetchval(gone, pids), seconds=5.0)


class FreezeBackend(BaseFault):
    """The server's process for one session stands still: the socket lives, no answer comes.

    Unlike a silent proxy, it may hold locks meanwhile, and carries out later what it was sent.
    """

    label = "F10"

    def __init__(self, role: str) -> None:
        self.name = f"freeze-backend-{role}"
        self.disruptive = 8.0
        self._role = role

    async def strike(self, arena: Arena) -> None:
        async with direct(arena) as own:
            found = await wait_for(lambda: sessions(own, self._role), seconds=_FIND_SECONDS)
        if not found:
            raise Missed(f"nobody is connected as {self._role}")
        victim = arena.rng.choice(found)["pid"]
        seconds = arena.rng.uniform(2.0, 6.0)
        arena.log("frozen", pid=victim, role=self._role, seconds=round(seconds, 2))
        try:
            os.kill(victim, signal.SIGSTOP)
            await asyncio.sleep(seconds)
        except ProcessLookupError:
            raise Missed("it was gone already") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGCONT)


class Full(BaseFault):
    """All connections that the server allows are taken; ``ends``: those of the workers, too."""

    def __init__(self, *, ends: bool, least: float = 1.0, most: float = 4.0) -> None:
        self.name = "too-many-connections" if ends else "pool-hog"
        self.label = "F21" if ends else "F13"
        self.disruptive = 8.0 if ends else 3.0
        self._ends = ends
        self._span = (least, most)

    async def strike(self, arena: Arena) -> None:
        held: list[Any] = []
        seconds = arena.rng.uniform(*self._span)
        try:
            async with direct(arena) as own:
                for row in await sessions(own) if self._ends else ():
                    await own.execute("select pg_terminate_backend($1)", row["pid"])
                refused = await self._fill(arena, held)
                arena.log("full", held=len(held), refused=refused, seconds=round(seconds, 2))
                if not refused:
                    raise AssertionError(f"the server took {len(held)} connections and would more")
                until = asyncio.get_running_loop().time() + seconds
                while asyncio.get_running_loop().time() < until:
                    await self._fill(arena, held)  # what a worker gave up is taken, too
                    await asyncio.sleep(0.05)
        finally:
            for connection in held:
                connection.terminate()

    @staticmethod
    async def _fill(arena: Arena, held: list[Any]) -> bool:
        """Connect until the server refuses; True if it did."""
        while len(held) < _MOST:
            try:
                held.append(
                    await asyncpg.connect(
                        arena.dsn, timeout=5.0, server_settings={"application_name": OURS}
                    )
                )
            except asyncpg.TooManyConnectionsError:
                return True
            except (OSError, asyncpg.PostgresError, TimeoutError):
                await asyncio.sleep(0.05)
                return False
        return False


class Herd(BaseFault):
    """All connections are reset and refused for a while; then everybody comes back at once."""

    name = "herd"
    label = "F47"
    disruptive = 8.0

    async def strike(self, arena: Arena) -> None:
        seconds = arena.rng.uniform(1.0, 3.0)
        arena.log("refused", connections=arena.proxy.connections, seconds=round(seconds, 2))
        try:
            await asyncio.to_thread(arena.proxy.refuse)
            await asyncio.to_thread(arena.proxy.cut)
            await asyncio.sleep(seconds)
        finally:
            await asyncio.to_thread(proxy_of(arena).admit)
        async with direct(arena) as own:
            most = 0
            for _ in range(20):
                most = max(most, len(await sessions(own)))
                await asyncio.sleep(0.1)
            room = int(await own.fetchval("select current_setting('max_connections')"))
        arena.log("came back", most=most, room=room)
