"""Locks and snapshots that others hold: maintenance, dumps, forgotten transactions, deadlocks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg

from chaos.faults.fault import BaseFault, Missed, direct, healed, wait_for

if TYPE_CHECKING:
    from chaos.arena import Arena

__all__ = ["Deadlocks", "HeldSnapshot", "LockTable", "Rewrite"]

TABLES = ("job", "worker", "queue", "history", "duty")
MODES = ("access exclusive", "exclusive", "share row exclusive", "share")
_LAST = """
select id, worker_id from pgqueue.job
where worker_id is not null
  and ($1::bigint is null or worker_id = $1 and task = 'noop' and id <> $2)
order by id desc limit 1 for update skip locked
"""
_GATHERED = "select count(*) > 4 from pgqueue.job where worker_id = $1 and task = 'noop'"
_WAITS_FOR_US = "select count(*) from pg_stat_activity where $1 = any (pg_blocking_pids(pid))"


class LockTable(BaseFault):
    """Somebody locks a table of ours and thinks for a while."""

    name = "lock-table"
    label = "F24"
    disruptive = 8.0

    def __init__(self, table: str | None = None, mode: str | None = None) -> None:
        self._table, self._mode = table, mode

    async def strike(self, arena: Arena) -> None:
        table = self._table or arena.rng.choice(TABLES)
        mode = self._mode or arena.rng.choice(MODES)
        seconds = arena.rng.uniform(1.0, 5.0)
        async with direct(arena) as own, direct(arena) as watcher:
            pid = own.get_server_pid()
            async with own.transaction():
                await own.execute(f"lock table pgqueue.{table} in {mode} mode")
                most = 0
                until = asyncio.get_running_loop().time() + seconds
                while asyncio.get_running_loop().time() < until:
                    most = max(most, await watcher.fetchval(_WAITS_FOR_US, pid))
                    await asyncio.sleep(0.1)
        arena.log("locked", table=table, mode=mode, seconds=round(seconds, 2), waited=most)


class Rewrite(BaseFault):
    """VACUUM FULL of the jobs, or a new index on them, that takes its time."""

    label = "F24"
    disruptive = 6.0

    def __init__(self, how: str) -> None:
        self.name = how
        self._how = how

    async def strike(self, arena: Arena) -> None:
        async with direct(arena) as own:
            if self._how == "vacuum-full":
                before = await own.fetchval("select pg_relation_filenode('pgqueue.job')")
                for table in ("job", "worker", "queue"):
                    await own.execute(f"vacuum full pgqueue.{table}")
                after = await own.fetchval("select pg_relation_filenode('pgqueue.job')")
                arena.log("rewritten", before=before, after=after)
                return
            seconds = arena.rng.uniform(0.5, 3.0)
            transaction = own.transaction()
            await transaction.start()
            try:
                await own.execute("create index chaos_built on pgqueue.job (task)")
                await asyncio.sleep(seconds)  # as if it were large
            finally:
                await transaction.rollback()
            arena.log("indexed", seconds=round(seconds, 2))


class HeldSnapshot(BaseFault):
    """A long transaction keeps an old snapshot; with ``writes``, it has an id of its own."""

    label = "F25"

    def __init__(self, *, writes: bool, least: float = 5.0, most: float = 15.0) -> None:
        self.name = "held-transaction" if writes else "held-snapshot"
        self._span = (least, most)
        self.disruptive = 0.0
        self._writes = writes

    async def strike(self, arena: Arena) -> None:
        seconds = arena.rng.uniform(*self._span)
        async with (
            direct(arena) as own,
            own.transaction(isolation="repeatable_read", readonly=not self._writes),
        ):
            await own.fetchval("select count(*) from pgqueue.job")
            if self._writes:
                await own.fetchval("select pg_current_xact_id()")
            await asyncio.sleep(seconds)
            held = await own.fetchval(
                "select age(coalesce(backend_xid, backend_xmin)) from pg_stat_activity"
                " where pid = pg_backend_pid()"
            )
        arena.log("held", seconds=round(seconds, 2), transactions=held)


class Deadlocks(BaseFault):
    """Locks rows of jobs in the order opposite to the product's, which then is the victim."""

    name = "deadlocks"
    label = "F23"
    disruptive = 4.0

    async def strike(self, arena: Arena) -> None:
        count = "select deadlocks from pg_stat_database where datname = current_database()"
        try:
            async with (
                direct(arena) as watcher,
                direct(arena) as first,
                direct(arena, deadlock_timeout="1h") as own,
            ):
                # Ours never looks for one: who waits for us finds it, and is ended. It looks once,
                # so late that the circle is closed by then, and before it waits no longer.
                await watcher.execute("alter system set deadlock_timeout = '600ms'")
                await watcher.execute("select pg_reload_conf()")
                before = await watcher.fetchval(count)
                until = asyncio.get_running_loop().time() + arena.rng.uniform(2.0, 5.0)
                while asyncio.get_running_loop().time() < until:
                    await self._once(first, own, watcher)

                async def counted() -> int:
                    now: int = await watcher.fetchval(count)
                    return now - before

                made = await wait_for(counted, seconds=2.0)
        finally:
            await healed(arena, "alter system reset deadlock_timeout", "select pg_reload_conf()")
        arena.log("deadlocks", made=made)
        if not made:
            raise Missed("no statement locked rows in the other order")

    @staticmethod
    async def _once(
        first: asyncpg.Connection, own: asyncpg.Connection, watcher: asyncpg.Connection
    ) -> None:
        """Hold up one write until outcomes have gathered behind it, and get in the way of those."""
        ahead, behind = first.transaction(), own.transaction()
        await ahead.start()
        await behind.start()
        try:
            taken = await first.fetch(_LAST, None, None)
            if not taken or not await _held_up(watcher, first):
                return
            job, worker = taken[0]
            await wait_for(lambda: watcher.fetchval(_GATHERED, worker), seconds=0.5)
            if not await own.fetch(_LAST, worker, job):
                return
            await ahead.rollback()
            if await _held_up(watcher, own):
                await own.execute("set local lock_timeout = '2s'")
                await own.fetch(
                    "select id from pgqueue.job where worker_id is not null order by id for update"
                )
        except asyncpg.PostgresError:
            pass
        finally:
            for transaction, connection in ((ahead, first), (behind, own)):
                if connection.is_in_transaction():
                    await transaction.rollback()


async def _held_up(watcher: asyncpg.Connection, by: asyncpg.Connection) -> bool:
    """Somebody waits for ``by``, at once or soon."""
    pid = by.get_server_pid()
    waiting = await wait_for(lambda: watcher.fetchval(_WAITS_FOR_US, pid), seconds=0.5)
    return bool(waiting)
