"""One async method a statement of the worker, over the links of its roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pgqueue import failpoints
from pgqueue.db.statements import statement
from pgqueue.failure import MISFIT

if TYPE_CHECKING:
    from asyncpg import Connection, Record

    from pgqueue.db.link import Link

__all__ = ["READ_ALL_SECONDS", "Store"]

ERRORS_KEPT = 20
# The timeout in read_all_rows.sql.
READ_ALL_SECONDS = 60.0
_ANY_SIZE = 2**31 - 1
_AT_LENGTH = "set local statement_timeout = '60s'"


class Store:
    """The statements of one schema on one link."""

    def __init__(self, link: Link, schema: str) -> None:
        self.link = link
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

    # -- the claimer's

    async def claim(
        self,
        queues: Sequence[str],
        quotas: Sequence[int],
        cursors: Sequence[int],
        tasks: Sequence[str],
        limit: int,
        worker: int,
        token: int,
        *,
        push: bool = False,
        patient: bool = False,
        inline: int = _ANY_SIZE,
    ) -> tuple[list[Record], list[str]]:
        """Take up to ``limit`` ready jobs; return them, and the queues that were busy.

        A queue is busy while somebody else claims from it. With ``push``, its jobs are taken all
        the same. ``patient``: it may take a minute, for all that it has to walk over in vain.
        A job with more than ``inline`` bytes of arguments comes without them: see ``whole``.
        """
        args = (queues, quotas, cursors, tasks, limit, worker, token, push or patient, inline)

        async def at_length(connection: Connection) -> list[Record]:
            await connection.execute(_AT_LENGTH)
            return await self._within(connection, "claim_jobs", *args)

        if patient:
            rows = await self.link.transact(at_length, deadline=READ_ALL_SECONDS)
        else:
            rows = await self._rows("claim_jobs", *args)
        busy: list[str] = []
        while rows and rows[-1]["id"] is None:
            busy.append(rows.pop()["queue"])
        return rows, busy

    async def whole(self, job_id: int, token: int) -> Record | None:
        """Return a claimed job with its arguments; None if its receipt is not good."""
        rows = await self._rows("read_claimed", job_id, token)
        return rows[0] if rows else None

    async def claim_holder(self, queue: str) -> str | None:
        """Return the name of the transaction that claims from this queue just now."""
        rows = await self._rows("find_claim_holder", queue)
        return rows[0]["transaction"] if rows else None

    async def raise_flags(self, queues: Sequence[str]) -> dict[str, bool]:
        """Ask for notifications; return whose flag is up now, and if nobody had asked before."""
        return {row["name"]: row["raised"] for row in await self._rows("raise_flags", queues)}

    async def check_ears(
        self, queues: Sequence[str], *, word: bool
    ) -> tuple[bool, bool, list[str]]:
        """Return whether we listen, whether the word to all was sent, and which flags are down."""
        (row,) = await self._rows("check_ears", queues, word)
        return row["listens"], row["spoken"], row["down"]

    async def lower_flags(self, queues: Sequence[str]) -> set[str]:
        """Ask for none on these queues; return those where somebody had asked for them."""
        return {row["name"] for row in await self._rows("lower_flags", queues)}

    async def call(self, payload: str) -> None:
        """Tell also those workers that hear no single job."""
        await self._rows("call_workers", payload)

    async def unknown_tasks(
        self, queues: Sequence[str], tasks: Sequence[str]
    ) -> list[tuple[str, str, int]]:
        """Return queue, task and count of what waits there for somebody else."""
        rows = await self._rows("find_unknown_tasks", queues, tasks)
        return [(row["queue"], row["task"], row["jobs"]) for row in rows]

    # -- the completer's

    async def finish(
        self, ids: Sequence[int], tokens: Sequence[int], state: str
    ) -> list[int] | None:
        """Move jobs to history; None if every receipt was good, else the ids that were."""
        good = (await self._rows("finish_jobs", ids, tokens, state))[0][0]
        return good if good is not None or not ids else None

    async def give_back(
        self,
        ids: Sequence[int],
        tokens: Sequence[int],
        delays: Sequence[float | None],
        changes: Sequence[int],
        errors: Sequence[str | None],
    ) -> list[int]:
        """Give jobs back; return the ids whose receipt was good."""
        rows = await self._rows("return_jobs", ids, tokens, delays, changes, errors, ERRORS_KEPT)
        return [row["id"] for row in rows]

    async def bury(
        self,
        ids: Sequence[int],
        tokens: Sequence[int],
        reasons: Sequence[str],
        errors: Sequence[str | None],
    ) -> list[int]:
        """Move jobs to the dead letters; return the ids whose receipt was good."""
        rows = await self._rows("bury_jobs", ids, tokens, reasons, errors, ERRORS_KEPT)
        return [row["id"] for row in rows]

    async def end_damaged(
        self, how: str, job_id: int, token: int, said: str, error: str, *, whole: bool
    ) -> list[int]:
        """Bury or finish a job without its former errors, and its arguments unless ``whole``."""
        return [r["id"] for r in await self._rows(how, job_id, token, said, error, whole)]

    async def finished(self, ids: Sequence[int], tokens: Sequence[int]) -> set[int]:
        """Return those that these receipts finished already."""
        rows = await self._rows("find_finished", ids, tokens)
        return {row["id"] for row in rows}

    async def expose(
        self, job_id: int, token: int, before: tuple[int, int] | tuple[None, None]
    ) -> bool:
        """Mark a job as the one to blame for a crash, and no longer the one ``before``.

        False if its receipt is not good.
        """
        rows = await self._rows("expose_job", job_id, token, *before)
        return any(row["id"] == job_id for row in rows)

    async def misfits(self, job_id: int) -> int:
        """Return how often in a row this job's arguments did not fit the worker that had it."""
        return (await self._rows("count_misfits", job_id, MISFIT))[0][0]  # type: ignore[no-any-return]

    async def ensure_history(self) -> None:
        """Make the partitions that a completion missed."""
        await self._rows("ensure_history")

    # -- the promoter's

    async def promote(self, limit: int, since: Any) -> list[Record]:
        """Make due jobs ready; return queue and run_at of each."""
        return await self._rows("promote_jobs", limit, since)

    async def next_due(self, since: Any) -> tuple[float | None, Any]:
        """Return in how many seconds the next scheduled job is due, and until when none is."""
        (row,) = await self._rows("next_due", since)
        return row["seconds"], row["clear_until"]

    async def newest_positions(self, queues: Sequence[str]) -> dict[str, int]:
        """Return the newest position handed out, for each of these queues that is not paused."""
        return {row["name"]: row["newest"] for row in await self._rows("newest_positions", queues)}

    async def wake(self, queues: Sequence[str]) -> None:
        """Wake workers that wait for these queues."""
        await self._rows("wake_queues", queues)

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
        """Give back what lost workers held and take them off the list, within a transaction.

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

    async def register(self, *values: Any) -> None:
        """Enter a worker; see register_worker.sql for the values."""
        await self._rows("register_worker", *values)

    async def own_session(self) -> tuple[int, Any]:
        """Return pid and start of this session."""
        row = (await self._rows("own_session"))[0]
        return row["pid"], row["backend_start"]

    async def renew(self, *values: Any) -> Record:
        """Renew the lease; see renew_lease.sql for the values and the answer."""
        return (await self._rows("renew_lease", *values))[0]

    async def remove_worker(self, worker: int) -> None:
        """Take a worker off the list."""
        await self._rows("remove_worker", [worker])

    async def due_duties(self) -> dict[str, float]:
        """Return in how many seconds each duty is due; not above 0 is now."""
        return {row["name"]: row["due_in"] for row in await self._rows("find_duties")}

    async def take_duty(self, name: str, hold: float) -> bool:
        """True if this worker is to do it; nobody else takes it for ``hold`` seconds."""
        return bool(await self._rows("take_duty", name, hold))

    async def end_duty(self, name: str, every: float) -> None:
        """Say that a duty is done, and due again in so many seconds."""
        await self._rows("end_duty", name, every)

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
        return await self._rows("find_held", workers, queues, cursors, tasks, floor, server)

    async def find_passed(
        self, queues: Sequence[str], cursors: Sequence[int], tasks: Sequence[str], floor: int
    ) -> list[Record]:
        """Return what the cursors have passed; see find_passed.sql."""
        return await self._rows("find_passed", queues, cursors, tasks, floor)

    async def orphans(self) -> list[int]:
        """Return unregistered workers that hold jobs."""
        return [row[0] for row in await self._read_all("find_orphans")]

    async def drop_history(self, retention: float) -> int:
        """Drop the oldest partition past retention; return how many were dropped."""
        return (await self._rows("drop_history", retention, 1))[0][0]  # type: ignore[no-any-return]
