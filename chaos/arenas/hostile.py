"""The arena hostile: a role with defaults that nobody would choose. F22, F23, F41."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from chaos.arenas.ground import BASE, Ground, newest
from chaos.faults.cutting import CuttingProxy
from chaos.faults.fault import BaseFault, direct, healed
from tests.harness.servers import own_server

if TYPE_CHECKING:
    from chaos.arena import Arena

__all__ = ["DEFAULTS", "ROLE", "FullQueue", "hostile"]

ROLE = "chaos_app"
# Timeouts that an enqueue can live with: a client's sessions have them. A worker's have its own.
DEFAULTS = {
    "statement_timeout": "'1500ms'",
    "lock_timeout": "'500ms'",
    "idle_in_transaction_session_timeout": "'5s'",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "search_path": "''",
    "timezone": "'America/Bogota'",
    "datestyle": "'German, DMY'",
    "intervalstyle": "sql_standard",
    "bytea_output": "escape",
    "plan_cache_mode": "force_custom_plan",
    "enable_indexscan": "off",
    "synchronous_commit": "off",
    "jit": "on",
    "jit_above_cost": "0",
}


class FullQueue(BaseFault):
    """The queue of notifications is full: each transaction that sends one fails at its commit."""

    name = "full-notify-queue"
    label = "F41"
    disruptive = 6.0

    async def strike(self, arena: Arena) -> None:
        seconds = arena.rng.uniform(2.0, 4.0)
        refused = False
        try:
            async with direct(arena) as stuck, direct(arena) as own:
                await stuck.execute("listen chaos_stuck")
                transaction = stuck.transaction()
                await transaction.start()
                await stuck.fetchval("select 1")
                until = asyncio.get_running_loop().time() + seconds
                while asyncio.get_running_loop().time() < until:
                    try:
                        await own.execute(
                            "select pg_notify('chaos_stuck', n || repeat('x', 7000))"
                            " from generate_series(1, 20) as n"
                        )
                    except asyncpg.ProgramLimitExceededError:
                        refused = True
                        await asyncio.sleep(0.1)
        finally:
            # Once full it stays so, without its listener too, until somebody looks at it.
            await healed(arena, "select pg_notification_queue_usage()")
        arena.log("full", seconds=round(seconds, 2), refused=refused)
        if not refused:
            raise AssertionError("the queue of notifications did not fill up")


# The role does not wait for the disk: a crash of the server takes back the last moment.
_FORGETFUL = frozenset({"restart-server", "outage", "crash-backend"})


@dataclass
class HostileGround(Ground):
    """Workers and producers come as a role of their own."""

    def through(self, proxy: CuttingProxy) -> str:
        place = proxy.dsn.partition("@")[2]
        return f"postgresql://{ROLE}@{place}"

    async def prepare(self, dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        try:
            if not await connection.fetchval(
                "select count(*) from pg_roles where rolname = $1", ROLE
            ):
                await connection.execute(f"create role {ROLE} superuser login")
            for name, value in DEFAULTS.items():
                await connection.execute(f"alter role {ROLE} set {name} = {value}")
        finally:
            await connection.close()


@contextmanager
def hostile() -> Generator[Ground]:
    major = newest()
    small = {"max_notify_queue_pages": "64"} if major >= 17 else {}
    with own_server(major, settings={**BASE, **small}) as server:
        faults = {FullQueue.name: FullQueue} if small else {}
        yield HostileGround(server, faults=faults, forgetful=_FORGETFUL)
