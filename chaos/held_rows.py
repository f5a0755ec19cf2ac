"""Somebody looks at running jobs with ``for update`` and takes a while: a fault of operators."""

from __future__ import annotations

import asyncio

import asyncpg

from chaos.arena import Arena
from chaos.faults.fault import BaseFault

__all__ = ["HoldRows"]

_HOLD = """
select id from pgqueue.job where worker_id is not null order by id limit 100
for update skip locked
"""


class HoldRows(BaseFault):
    """Rows of running jobs are locked for longer than a completion waits for one."""

    name = "hold-rows"
    label = "F24"
    disruptive = 4.0

    async def strike(self, arena: Arena) -> None:
        connection = await asyncpg.connect(
            arena.dsn,
            timeout=5.0,
            server_settings={"application_name": "chaos fault", "lock_timeout": "0"},
        )
        try:
            async with connection.transaction():
                rows = await connection.fetch(_HOLD, timeout=5.0)
                await asyncio.sleep(arena.rng.uniform(1.5, 4.0))
        finally:
            connection.terminate()
        arena.log("held", jobs=len(rows))
