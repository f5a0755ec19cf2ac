"""Migrators, pruning, and the cancel of everything, while jobs run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg

from chaos.faults.fault import DRIVER_ERRORS, BaseFault, direct, healed
from pgqueue.db.migrate import migrate
from pgqueue.errors import DatabaseError

if TYPE_CHECKING:
    from chaos.arena import Arena

__all__ = ["Migrators", "Pruning", "migrated"]

_OTHER = "pgqueue_chaos"


async def migrated(dsn: str, schema: str) -> bool:
    """Migrate; False if the session was ended, which is an error of ours while it connects."""
    try:
        await migrate(dsn, schema)
    except (OSError, DatabaseError, *DRIVER_ERRORS):
        return False
    return True


class Migrators(BaseFault):
    """Eight migrators at once, half of them for a schema that is not there; some are ended."""

    name = "migrators"
    label = "F40"
    disruptive = 2.0

    async def strike(self, arena: Arena) -> None:
        try:
            async with direct(arena) as own:
                await own.execute(f"drop schema if exists {_OTHER} cascade")
                migrators = [
                    asyncio.create_task(migrated(arena.dsn, schema))
                    for schema in ("pgqueue", _OTHER) * 4
                ]
                ended = 0
                for _ in range(arena.rng.randint(1, 20)):
                    ended += await own.fetchval(
                        "select count(pg_terminate_backend(pid)) from pg_stat_activity where"
                        " application_name = 'pgqueue migrate' and random() < 0.2"
                    )
                done = await asyncio.gather(*migrators)
                await migrate(arena.dsn, _OTHER)
                await migrate(arena.dsn, "pgqueue")
                there = await own.fetchval(f"select count(*) from {_OTHER}.migration")
                arena.log("migrated", done=sum(done), ended=ended, versions=there)
                if not there:
                    raise AssertionError("the other schema is not there")
        finally:
            await healed(arena, f"drop schema if exists {_OTHER} cascade")


class Pruning(BaseFault):
    """Old history is dropped and partitions are made again and again, while completions come in."""

    name = "pruning"
    label = "F46"
    disruptive = 2.0

    async def strike(self, arena: Arena) -> None:
        rounds = arena.rng.randint(5, 15)
        dropped = 0
        async with direct(arena, lock_timeout="5s") as own:
            for _ in range(rounds):
                try:
                    day = await own.fetchval("select (current_date - 30)::text")
                    name = f"pgqueue.history_{day.replace('-', '')}"
                    await own.execute(f"create table {name} (like pgqueue.history including all)")
                    await own.execute(
                        f"alter table pgqueue.history attach partition {name} for values"
                        f" from ('{day} 00:00+00') to ('{day} 24:00+00')"
                    )
                    await own.fetchval("select pgqueue.ensure_history()")
                    await asyncio.sleep(0.1)
                    dropped += await own.fetchval("select pgqueue.drop_history('20 days')")
                except asyncpg.LockNotAvailableError:
                    continue
        arena.log("pruned", rounds=rounds, dropped=dropped)
        if not dropped:
            raise AssertionError("no partition was dropped")
