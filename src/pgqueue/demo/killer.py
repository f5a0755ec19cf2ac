"""Kills one worker that is sure to be at work."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgqueue.demo.ground import connect
from pgqueue.demo.statements import sql

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["Killed", "kill_one"]

_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Killed:
    """A worker that was killed: how many jobs it held, and how many of those were running."""

    pid: int
    held: int
    running: int


async def kill_one(
    connection: Connection, dsn: str, *, give_work: Callable[[], Awaitable[None]]
) -> Killed:
    """Kill the worker that runs most jobs, and note what it held.

    Results wait to be written meanwhile, each in its job's open transaction: what runs goes on
    running until its worker is dead, however fast the machine is, and none of it is committed.
    ``give_work`` sees to it that there is something to run.
    """
    async with connect(dsn) as holder, holder.transaction():
        await holder.execute(sql("hold_results"))
        await give_work()
        victim = await _find_victim(connection)
        noted = await connection.fetchrow(sql("note_kill"), victim["id"], victim["pid"])
        os.kill(victim["pid"], signal.SIGKILL)
    assert noted is not None
    return Killed(victim["pid"], noted["held"], noted["started"])


async def _find_victim(connection: Connection) -> Record:
    """Wait for a worker to run jobs, as many as it takes: until two looks see the same."""
    before: Record | None = None
    while True:
        victim = await connection.fetchrow(sql("find_victim"), socket.gethostname())
        if victim is not None and victim["started"] and victim == before:
            return victim
        before = victim
        await asyncio.sleep(_LOOK_SECONDS)
