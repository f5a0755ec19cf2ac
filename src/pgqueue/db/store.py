"""One async method a statement of the worker, over the links of its roles."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from pgqueue.db.claim_order import put_in_order
from pgqueue.db.fleet_store import ERRORS_KEPT, READ_ALL_SECONDS, FleetStore
from pgqueue.failure import MISFIT

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["READ_ALL_SECONDS", "Store"]


class FlowFloors(Protocol):
    """Below what an admission of a flow need not look."""

    position: int
    ticket: int
    turn: datetime


_ANY_SIZE = 2**31 - 1
_AT_LENGTH = f"set local statement_timeout = '{READ_ALL_SECONDS:g}s'"


class Store(FleetStore):
    """The statements of one schema on one link."""

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
        bypass: bool = False,
        long: bool = False,
        inline: int = _ANY_SIZE,
    ) -> tuple[list[Record], list[str]]:
        """Take up to ``limit`` ready jobs; return them, and the queues that were busy.

        A queue is busy while somebody else claims from it. With ``bypass``, its jobs are taken all
        the same. ``long``: it may take a minute, for all that it has to walk over in vain.
        A job with more than ``inline`` bytes of arguments comes without them: see ``whole``.
        """
        args = (queues, quotas, cursors, tasks, limit, worker, token, bypass or long, inline)

        async def at_length(connection: Connection) -> list[Record]:
            await connection.execute(_AT_LENGTH)
            return await self._within(connection, "claim_jobs", *args)

        if long:
            rows = await self.link.transact(at_length, deadline=READ_ALL_SECONDS)
        else:
            rows = await self._rows("claim_jobs", *args)
        busy: list[str] = []
        while rows and rows[-1]["id"] is None:
            busy.append(rows.pop()["queue"])
        put_in_order(rows, queues)
        return rows, busy

    async def take_leave(self, queue: str, worker: int, *values: int) -> Record:
        """Ask which jobs of a queue with limits may begin; see take_leave.sql."""
        return (await self._rows("take_leave", queue, worker, *values))[0]

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

    async def lower_flags(self, queues: Sequence[str], kind: int | None = None) -> dict[str, bool]:
        """Ask for none on these queues; return where somebody had asked, and whether it was done.

        With ``kind``, it is not done on those that workers of another kind serve.
        """
        rows = await self._rows("lower_flags", queues, kind)
        return {row["name"]: row["lowered"] for row in rows}

    async def call(self, payload: str) -> None:
        """Tell also those workers that hear no single job."""
        await self._rows("call_workers", payload)

    async def unknown_tasks(
        self, queues: Sequence[str], tasks: Sequence[str]
    ) -> list[tuple[str, str, int]]:
        """Return queue, task and count of what waits there for somebody else."""
        rows = await self._rows("find_unknown_tasks", queues, tasks)
        return [(row["queue"], row["task"], row["jobs"]) for row in rows]

    async def is_idle(self, queues: Sequence[str], tasks: Sequence[str]) -> bool:
        """Return whether nothing runs in these queues, and nothing is due that has these tasks."""
        return (await self._rows("is_idle", queues, tasks))[0]["idle"]  # type: ignore[no-any-return]

    # -- the completer's

    async def finish(
        self, ids: Sequence[int], tokens: Sequence[int], state: str
    ) -> list[int] | None:
        """Move jobs to history; None if every receipt was good, else the ids that were."""
        good = (await self._rows("finish_jobs", ids, tokens, state))[0][0]
        return good if good is not None or not ids else None

    async def finish_in_flows(
        self,
        ids: Sequence[int],
        tokens: Sequence[int],
        state: str,
        used: Sequence[float | None],
    ) -> list[int] | None:
        """Move jobs to history, and write tickets of their flows; answers as ``finish``."""
        good = (await self._rows("finish_flow_jobs", ids, tokens, state, used))[0][0]
        return good if good is not None or not ids else None

    async def release(
        self,
        ids: Sequence[int],
        tokens: Sequence[int],
        delays: Sequence[float | None],
        changes: Sequence[int],
        errors: Sequence[str | None],
    ) -> list[int]:
        """Release jobs; return the ids whose receipt was good."""
        rows = await self._rows("release_jobs", ids, tokens, delays, changes, errors, ERRORS_KEPT)
        return [row["id"] for row in rows]

    async def release_in_flows(
        self,
        ids: Sequence[int],
        tokens: Sequence[int],
        delays: Sequence[float | None],
        changes: Sequence[int],
        errors: Sequence[str | None],
        used: Sequence[float | None],
        held: Sequence[float | None],
        holds_flow: Sequence[bool],
    ) -> list[int]:
        """Release jobs of flows; return the ids whose receipt was good."""
        rows = await self._rows(
            "release_flow_jobs", ids, tokens, delays, changes, errors, ERRORS_KEPT, used, held,
            holds_flow,
        )  # fmt: skip
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

    async def bury_in_flows(
        self,
        ids: Sequence[int],
        tokens: Sequence[int],
        reasons: Sequence[str],
        errors: Sequence[str | None],
        used: Sequence[float | None],
    ) -> tuple[list[int], list[tuple[str, str]]]:
        """Bury jobs of flows; return those whose receipt was good, and flows and keys that halt."""
        rows = await self._rows("bury_flow_jobs", ids, tokens, reasons, errors, ERRORS_KEPT, used)
        halted = [(row["flow"], row["key"]) for row in rows if row["id"] is None]
        return [row["id"] for row in rows if row["id"] is not None], halted

    async def end_damaged(
        self, how: str, job_id: int, token: int, said: str, error: str, *, whole: bool
    ) -> list[int]:
        """Bury or finish a job without its former errors, and its arguments unless ``whole``."""
        return [r["id"] for r in await self._rows(how, job_id, token, said, error, whole)]

    async def finished(self, ids: Sequence[int], tokens: Sequence[int]) -> set[int]:
        """Return those that these receipts finished already."""
        rows = await self._rows("find_finished", ids, tokens)
        return {row["id"] for row in rows}

    async def quarantine(
        self, job_id: int, token: int, before: tuple[int, int] | tuple[None, None]
    ) -> bool:
        """Mark a job as the one to blame for a crash, and no longer the one ``before``.

        False if its receipt is not good.
        """
        rows = await self._rows("quarantine_job", job_id, token, *before)
        return any(row["id"] == job_id for row in rows)

    async def begin(self, job_id: int, token: int) -> bool:
        """Note that a job runs which may not run again unless its end is known; False: not ours."""
        return bool(await self._rows("begin_job", job_id, token))

    async def misfits(self, job_id: int) -> int:
        """Return how often in a row this job's arguments did not fit the worker that had it."""
        return (await self._rows("count_misfits", job_id, MISFIT))[0][0]  # type: ignore[no-any-return]

    async def ensure_history(self) -> None:
        """Make the partitions that a completion missed."""
        await self._rows("ensure_history")

    # -- the admitter's

    async def admit(self, flow: str, ready_most: int, floors: FlowFloors, server: object) -> Record:
        """Admit jobs of a flow; see admit_jobs.sql. ``server``: since when it runs, as was told."""
        position, ticket, turn = floors.position, floors.ticket, floors.turn
        rows = await self._rows("admit_jobs", flow, ready_most, position, ticket, turn, server)
        return rows[0]

    async def ticketed_flows(
        self, floors: Mapping[str, FlowFloors], server: object, *, lines: bool
    ) -> list[str]:
        """Return the flows with tickets; with ``lines``, those too with a key whose turn it is."""
        told = {flow: (one.ticket, one.turn.isoformat()) for flow, one in floors.items()}
        rows = await self._rows("find_ticketed_flows", json.dumps(told), server, lines)
        return [row[0] for row in rows]

    # -- the promoter's

    async def promote(self, limit: int, since: Any) -> list[Record]:
        """Make due jobs ready; return queue, run_at and flow of each."""
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
