"""Notifications: a flood of garbage and forged ones, and a listener that is stuck. F41, F42."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from chaos.faults.fault import BaseFault, direct

if TYPE_CHECKING:
    from chaos.arena import Arena

__all__ = ["Flood", "StuckListener"]

GARBAGE = (
    "", ":", "q", "q:", "q:nosuch", "q:main", "q:side", "r", "r:", "r:x:main", "r:0:main",
    "r:-5:side", "r:99999999999999999999:main", "r:9223372036854775807:side", "r:\u0663:main",
    "s:", "s:nan", "s:inf", "s:-1", "s:1e308", "s:0", "c", "c:1", "c:*", "stop", "\u202e", "{}",
)  # fmt: skip
_LARGE = 7000  # PostgreSQL takes less than 8000 bytes


class Flood(BaseFault):
    """Thousands of notifications that mean nothing, or lie, on the channel of the workers."""

    name = "notification-flood"
    label = "F41"
    disruptive = 2.0

    async def strike(self, arena: Arena) -> None:
        sent = 0
        async with direct(arena) as own:
            channel = await own.fetchval("select pgqueue.channel()")
            for _ in range(arena.rng.randint(10, 40)):
                payloads = arena.rng.choices(GARBAGE, k=50)
                payloads += [f"q:{arena.rng.random()}{'x' * _LARGE}" for _ in range(5)]
                await own.execute(
                    "select pg_notify($1, payload) from unnest($2::text[]) as t (payload)",
                    channel,
                    payloads,
                )
                sent += len(payloads)
                await asyncio.sleep(0.02)
        arena.log("flood", sent=sent)


class StuckListener(BaseFault):
    """A session listens and stays in a transaction: the server must keep what it does not read."""

    name = "stuck-listener"
    label = "F41"
    disruptive = 2.0

    async def strike(self, arena: Arena) -> None:
        seconds = arena.rng.uniform(3.0, 8.0)
        async with direct(arena) as stuck, direct(arena) as own:
            channel = await own.fetchval("select pgqueue.channel()")
            await stuck.execute(f'listen "{channel}"')
            transaction = stuck.transaction()
            await transaction.start()
            await stuck.fetchval("select 1")
            until = asyncio.get_running_loop().time() + seconds
            used = 0.0
            while asyncio.get_running_loop().time() < until:
                await own.execute(
                    "select pg_notify($1, n || repeat('x', 7000)) from generate_series(1, 20) as n",
                    channel,
                )
                used = max(used, await own.fetchval("select pg_notification_queue_usage()"))
                await asyncio.sleep(0.1)
        arena.log("stuck", seconds=round(seconds, 2), used=used)
        if not used:
            raise AssertionError("the notification queue stayed empty")
