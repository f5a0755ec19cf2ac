"""The statements about workers: their heartbeats, their duties, and rescues; and how one is run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pgqueue import failpoints
from pgqueue.db.session import UPKEEP_SECONDS
from pgqueue.db.statements import statement

if TYPE_CHECKING:
    from asyncpg import Connection, Record

    from pgqueue.db.link import Link

__all__ = ["ERRORS_KEPT", "READ_ALL_SECONDS", "FleetStore"]

ERRORS_KEPT = 20
# The timeout in read_all_rows.sql.
READ_ALL_SECONDS = 60.0


class FleetStore:
    """Those of one schema on one link.

    ``turn``: where several send on the link, whoever does holds it.
    """

    def __init__(self, link: Link, schema: str) -> None:
        self.link = link
        self.turn = asyncio.Lock()
        self.schema = schema
        self._sql: dict[str, str] = {}

    def sql(self, name: str) -> str:
        """Return a statement's text for this schema."""
        text = self._sql.get(name)
        if text is None:
            text = self._sql[name] = statement(name, self.schema)
        return text

    async def _rows(self, name: str, *args: Any) -> list[Record]:
        if failpoints.armed is not None:
            failpoints.armed.reach(f"{name}.before", self.link.cut)
        rows = await self.link.fetch(self.sql(name), *args)
        if failpoints.armed is not None:
            failpoints.armed.reach(f"{name}.after", self.link.lose)
        return rows

    async def _quick(self, name: str, *args: Any) -> list[Record]:
        """Run what is quick as a rule, where a connection is open."""
        rows = await self.link.quick(self.sql(name), *args)
        if failpoints.armed is not None:
            failpoints.armed.reach(f"{name}.after", self.link.lose)
        return rows

    async def _within(self, connection: Connection, name: str, *args: Any) -> list[Record]:
        """Run one of several statements in a transaction of ours."""
        rows = await connection.fetch(self.sql(name), *args)
        if failpoints.armed is not None:
            failpoints.armed.reach(f"{name}.after", self.link.cut)
        return rows

    async def _read_all(self, name: str, *args: Any) -> list[Record]:
        """Run a statement that reads a table as a whole, however large that is."""

        async def work(connection: Connection) -> list[Record]:
            await connection.execute(self.sql("read_all_rows"))
            return await self._within(connection, name, *args)

        return await self.link.transact(work, deadline=READ_ALL_SECONDS)

    # -- rescues

    async def lock_lost(
        self, connection: Connection, workers: Sequence[int], *, vanished: bool
    ) -> list[Record]:
        """Take those of these workers for rescue that are still lost, within a transaction."""
        return await self._within(connection, "lock_lost_worker", workers, vanished)

    async def registered(self, connection: Connection, workers: Sequence[int]) -> set[int]:
        """Return those of these workers that have a row, within a transaction."""
        return {row["id"] for row in await connection.fetch(self.sql("find_worker"), workers)}

    async def lock_children(
        self, connection: Connection, supervisor: int, pid: int
    ) -> list[Record]:
        """Take the workers of a child that ended for rescue, within a transaction."""
        return await self._within(connection, "lock_children", supervisor, pid)

    async def rescue(
        self,
        connection: Connection,
        errors: Mapping[int, str],
        *,
        crash_cap: int,
        begun: Sequence[tuple[int, int]] | None,
        spared: Sequence[int],
        move: bool = True,
    ) -> list[Record]:
        """Release what lost workers held and take them off the list, within a transaction.

        ``errors``: by worker, what is noted of the crash. ``begun``: ids and claim tokens of the
        jobs that had started, the only ones to blame; None if nobody knows. ``spared``: workers
        whose jobs are not blamed. ``move``: whether to end those at their cap, or cancelled.
        """
        await connection.execute(self.sql("read_all_rows"))
        ids = None if begun is None else [job_id for job_id, _ in begun]
        tokens = None if begun is None else [token for _, token in begun]
        workers = list(errors)
        rows = await self._within(
            connection, "rescue_jobs", workers, crash_cap, ERRORS_KEPT, list(errors.values()),
            ids, tokens, move, spared,
        )  # fmt: skip
        await connection.execute(self.sql("remove_worker"), workers)
        return rows

    async def rewind(self, queues: Sequence[str], positions: Sequence[int]) -> None:
        """Tell workers that jobs are ready again at old positions."""
        await self._rows("rewind_queues", queues, positions)

    # -- the heartbeat's and the duties'

    async def register(self, *values: Any) -> str | None:
        """Enter a worker; see register_worker.sql for the values. Return its queues' limits."""
        limits: str | None = (await self._rows("register_worker", *values))[0]["limits"]
        return limits

    async def own_session(self) -> tuple[int, Any]:
        """Return pid and start of this session."""
        row = (await self._rows("own_session"))[0]
        return row["pid"], row["backend_start"]

    async def renew(self, *values: Any) -> Record:
        """Renew the lease; see renew_lease.sql for the values and the answer."""
        return (await self._rows("renew_lease", *values))[0]

    async def tell_slots(self, worker: int | None, slots: int | None) -> None:
        """Note how many slots a worker uses while it is overloaded; None: all."""
        await self._rows("tell_slots", worker, slots)

    async def remove_worker(self, worker: int) -> None:
        """Take a worker off the list."""
        await self._rows("remove_worker", [worker])

    async def due_duties(self) -> dict[str, float]:
        """Return in how many seconds each duty is due; not above 0 is now."""
        return {row["name"]: row["due_in"] for row in await self._quick("find_duties")}

    async def take_duty(self, name: str, hold: float) -> bool:
        """True if this worker is to do it; nobody else takes it for ``hold`` seconds."""
        return bool(await self._quick("take_duty", name, hold))

    async def end_duty(self, name: str, every: float) -> None:
        """Say that a duty is done, and due again in so many seconds."""
        await self._quick("end_duty", name, every)

    async def measure_job_table(self) -> Record:
        """Return what says whether it is to be vacuumed; see measure_job_table.sql."""
        return (await self._quick("measure_job_table"))[0]

    async def vacuum_jobs(self) -> None:
        """Vacuum the job table."""
        await self.link.alone(self.sql("vacuum_jobs"), deadline=UPKEEP_SECONDS)

    async def next_detach(self, retention: float) -> str | None:
        """Return the next statement by which a partition is detached; see next_detach.sql."""
        rows = await self._quick("next_detach", retention)
        return rows[0]["change"] if rows else None

    async def detach(self, change: str) -> None:
        """Run one of those."""
        await self.link.alone(change, deadline=UPKEEP_SECONDS)

    async def count_depths(
        self, queues: Sequence[str], floors: Sequence[int], every: float
    ) -> list[Record]:
        """Count queues with a max_depth, unless another worker did; see count_depths.sql."""
        return await self._quick("count_depths", queues, floors, every)

    async def held(
        self,
        workers: Sequence[int],
        queues: Sequence[str],
        cursors: Sequence[int],
        tasks: Sequence[str],
        floor: int,
        server: object,
    ) -> list[Record]:
        """Return what these workers hold, as the server knows it; see find_held.sql."""
        return await self._quick("find_held", workers, queues, cursors, tasks, floor, server)

    async def find_stragglers(
        self, queues: Sequence[str], cursors: Sequence[int], tasks: Sequence[str], floor: int
    ) -> list[Record]:
        """Return what the cursors have passed; see find_stragglers.sql."""
        return await self._quick("find_stragglers", queues, cursors, tasks, floor)

    async def orphans(self) -> list[int]:
        """Return unregistered workers that hold jobs."""
        return [row[0] for row in await self._read_all("find_orphans")]

    # -- flows

    async def declare_flows(
        self, names: Sequence[str], settings: Sequence[str], actor: str
    ) -> tuple[int, list[str]]:
        """Return how many workers know no flows, and what was written; see declare_flows.sql."""
        row = (await self._rows("declare_flows", names, settings, actor))[0]
        return row["older"], row["names"]

    async def heal_lines(self) -> dict[str, int]:
        """Write missing tickets; return of how many keys of which flow one was missing."""
        return {row["flow"]: row["keys"] for row in await self._rows("heal_lines")}

    # -- schedules

    async def find_slots(
        self, declared: Sequence[str], but: Sequence[str], limit: int
    ) -> list[Record]:
        """Return the schedules that a worker may fire, the next one first; see find_slots.sql."""
        return await self._quick("find_slots", declared, but, limit)

    async def fire_slots(self, *columns: Sequence[Any]) -> list[Record]:
        """Fire schedules, a column for each value; see fire_slots.sql."""
        return await self._rows("fire_slots", *columns)

    async def orphan_schedules(self, seconds: float, actor: str) -> list[str]:
        """Mark the schedules that no worker declares any more; return their names."""
        return [row["name"] for row in await self._quick("orphan_schedules", seconds, actor)]

    async def drop_history(self, retention: float) -> int:
        """Drop the oldest partition past retention; return how many were dropped."""
        return (await self._rows("drop_history", retention, 1))[0][0]  # type: ignore[no-any-return]

    async def drop_audit(self, most: int) -> int:
        """Delete the oldest notes of changes past their time; return how many were deleted."""
        return (await self._rows("drop_audit", most))[0][0]  # type: ignore[no-any-return]

    async def drop_usage(self, most: int) -> int:
        """Delete what jobs of flows used long ago; return how many rows were deleted."""
        return (await self._rows("drop_usage", most))[0][0]  # type: ignore[no-any-return]

    async def forget_keys(self, most: int) -> int:
        """Delete what is said of keys that are as others again; return how many there were."""
        return (await self._rows("forget_keys", most))[0][0]  # type: ignore[no-any-return]

    async def forget_unique(self, most: int) -> int:
        """Forget unique keys that are free again; return how many were forgotten."""
        return (await self._rows("forget_unique", most))[0][0]  # type: ignore[no-any-return]
