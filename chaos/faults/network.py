"""Faults on the way to the server: silence, dropped packets, delays, resets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from chaos.faults.fault import BaseFault, Missed, proxy_of, wait_for

if TYPE_CHECKING:
    from chaos.arena import Arena
    from chaos.faults.cutting import Link

__all__ = ["Blackhole", "Deaf", "Narrow", "Reset", "Silence", "Slow", "Stall"]


class Reset(BaseFault):
    """All connections are reset at once."""

    name = "reset"
    label = "F9"
    disruptive = 6.0

    async def strike(self, arena: Arena) -> None:
        count = arena.proxy.connections
        if not count:
            raise Missed("nobody is connected")
        await asyncio.to_thread(arena.proxy.cut)
        arena.log("cut", connections=count)


class Blackhole(BaseFault):
    """Nothing is forwarded, all is acknowledged; then it is delivered, or the path is replaced."""

    name = "blackhole"
    label = "F10"
    disruptive = 8.0

    def __init__(self, least: float = 2.0, most: float = 8.0) -> None:
        self._span = (least, most)

    async def strike(self, arena: Arena) -> None:
        seconds = arena.rng.uniform(*self._span)
        delivers = arena.rng.random() < 0.5
        count = arena.proxy.connections
        arena.log("silent", connections=count, seconds=round(seconds, 2), delivers=delivers)
        try:
            await asyncio.to_thread(arena.proxy.blackhole)
            await asyncio.sleep(seconds)
        finally:
            if not delivers:
                await asyncio.to_thread(arena.proxy.cut)
            await asyncio.to_thread(proxy_of(arena).admit)


class Silence(BaseFault):
    """The connections of one role hang for good, while new ones work (``new``: these hang, too)."""

    label = "F10"

    def __init__(self, role: str, *, new: bool = False) -> None:
        self.name = f"silence-{role}" + ("-and-new" if new else "")
        self.disruptive = 8.0
        self._role = role
        self._new = new

    async def strike(self, arena: Arena) -> None:
        proxy = proxy_of(arena)
        seconds = arena.rng.uniform(3.0, 8.0)

        def ours(link: Link) -> bool:
            return link.role == self._role

        await wait_for(lambda: self._role in proxy.roles(), seconds=3.0)
        count = await asyncio.to_thread(proxy.silence, ours, new=self._new)
        try:
            arena.log("silent", role=self._role, connections=count, seconds=round(seconds, 2))
            if not count and not self._new:
                raise Missed(f"nobody is connected as {self._role}")
            await asyncio.sleep(seconds)
        finally:
            await asyncio.to_thread(proxy.resume, ours)


class Slow(BaseFault):
    """Each chunk, both ways, comes 25 to 250 ms late: a round trip takes 50 to 500 ms more."""

    name = "latency"
    label = "F12"
    disruptive = 4.0

    async def strike(self, arena: Arena) -> None:
        seconds, each = arena.rng.uniform(3.0, 8.0), arena.rng.uniform(0.025, 0.25)
        arena.log("slow", seconds=round(seconds, 2), each=round(each, 3))
        try:
            arena.proxy.delay(each)
            await asyncio.sleep(seconds)
        finally:
            arena.proxy.delay(0.0)


class Stall(BaseFault):
    """The path stands still again and again for up to a second, and loses nothing."""

    name = "stalls"
    label = "F12"
    disruptive = 4.0

    async def strike(self, arena: Arena) -> None:
        stalls = [arena.rng.uniform(0.1, 1.0) for _ in range(5)]
        arena.log("stalls", seconds=[round(stall, 2) for stall in stalls])
        try:
            for stall in stalls:
                await asyncio.to_thread(arena.proxy.blackhole)
                await asyncio.sleep(stall)
                await asyncio.to_thread(proxy_of(arena).admit)
                await asyncio.sleep(arena.rng.uniform(0.1, 0.5))
        finally:
            await asyncio.to_thread(proxy_of(arena).admit)


class Narrow(BaseFault):
    """Each connection and direction carries 10 kB a second."""

    name = "narrow"
    label = "F12"
    disruptive = 8.0

    async def strike(self, arena: Arena) -> None:
        proxy = proxy_of(arena)
        seconds = arena.rng.uniform(3.0, 6.0)
        arena.log("narrow", seconds=round(seconds, 2))
        try:
            proxy.throttle(10_000)
            await asyncio.sleep(seconds)
        finally:
            proxy.throttle(0)


class Deaf(BaseFault):
    """Notifications are lost (``copies`` 0) or delivered more than once."""

    label = "F42"

    def __init__(self, copies: int) -> None:
        self.name = "lose-notifications" if copies == 0 else "repeat-notifications"
        self.disruptive = 0.0
        self._copies = copies

    async def strike(self, arena: Arena) -> None:
        proxy = proxy_of(arena)
        before = proxy.altered
        try:
            proxy.notifications(self._copies)
            await asyncio.sleep(arena.rng.uniform(3.0, 6.0))
        finally:
            proxy.notifications(1)
        arena.log("notifications", copies=self._copies, altered=proxy.altered - before)
        if proxy.altered == before:
            raise Missed("there were no notifications")
