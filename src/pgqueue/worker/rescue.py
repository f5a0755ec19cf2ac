"""Gives a dead worker's jobs back: the outcome that it could not write, with the same fence."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pgqueue.db.faults import Rejected
from pgqueue.db.store import READ_ALL_SECONDS, Store
from pgqueue.errors import PgQueueError

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["SECOND_LOOK_AFTER", "announce", "release_worker", "rescue_children", "rescue_worker"]

log = logging.getLogger("pgqueue.rescue")

SECOND_LOOK_AFTER = 0.5
"""Seconds after which the server has ended a claim that a dead worker sent last, as a rule."""


async def rescue_worker(
    store: Store, worker: int, *, crash_cap: int, vanished: bool = False, orphaned: bool = False
) -> dict[str, int]:
    """Give back what this worker held, if it is still lost; return the lowest position by queue.

    ``orphaned``: its row must be gone already, so there is nothing to lock.
    """

    async def take(connection: Connection) -> list[Record]:
        if orphaned:
            if await store.is_registered(connection, worker):
                return []
            return [{"id": worker, "host": "?", "pid": 0, "stopping": False}]  # type: ignore[list-item]
        return await store.lock_lost(connection, worker, vanished=vanished)

    why = (
        "its row was deleted" if orphaned else "its session is gone" if vanished else "no heartbeat"
    )
    # What an orphan holds was claimed after its row was gone: that is no crash of anybody's.
    return await _rescue(store, take, crash_cap=crash_cap, why=why, begun=() if orphaned else None)


async def rescue_children(
    store: Store,
    supervisor: int,
    pid: int,
    *,
    crash_cap: int,
    begun: Sequence[tuple[int, int]] | None,
    told_to_stop: bool = False,
) -> dict[str, int]:
    """Give back what a supervisor's child held that was seen to end.

    ``begun``: ids and claim tokens of the jobs that it had started, the only ones to blame;
    None if nobody knows. ``told_to_stop``: no crash is counted, whatever its row says.
    The server may still be at work on a claim that the child sent last, so there is a second look.
    """
    found: list[int] = []
    lowest: dict[str, int] = {}

    async def take(connection: Connection) -> list[Record]:
        rows = await store.lock_children(connection, supervisor, pid)
        found[:] = [row["id"] for row in rows]
        return rows

    for wait in (0.0, SECOND_LOOK_AFTER, 2 * SECOND_LOOK_AFTER):
        await asyncio.sleep(wait)
        lowest = await _rescue(
            store, take, crash_cap=crash_cap, why="its process ended", begun=begun,
            told_to_stop=told_to_stop,
        )  # fmt: skip
        if found or not begun:
            break
        # It had registered, so the server is at work on its last pulse, or another was faster.
    if found:
        await asyncio.sleep(SECOND_LOOK_AFTER)
    for worker in found:
        late = await rescue_worker(store, worker, crash_cap=crash_cap, orphaned=True)
        for queue, position in late.items():
            lowest[queue] = min(position, lowest.get(queue, position))
    return lowest


async def release_worker(
    store: Store, worker: int, *, done: Iterable[tuple[int, int]], crash_cap: int
) -> None:
    """Give back what this process holds and take it off the list; no crash is counted.

    ``done``: ids and claim tokens of what has succeeded, to be written before.
    """

    async def take(_: Connection) -> list[Record]:
        own = {"id": worker, "host": socket.gethostname(), "pid": os.getpid(), "stopping": True}
        return [own]  # type: ignore[list-item]

    receipts = sorted(done)
    if receipts:
        with contextlib.suppress(PgQueueError):
            await store.finish([i for i, _ in receipts], [t for _, t in receipts], "completed")
    await _rescue(store, take, crash_cap=crash_cap, why="it cannot stop in order", begun=())


async def _rescue(
    store: Store,
    take: Callable[[Connection], Awaitable[list[Record]]],
    *,
    crash_cap: int,
    why: str,
    begun: Sequence[tuple[int, int]] | None,
    told_to_stop: bool = False,
) -> dict[str, int]:
    labels: dict[int, str] = {}

    async def work(connection: Connection, *, move: bool = True) -> list[Record]:
        rows: list[Record] = []
        for lost in await take(connection):
            label = f"{lost['host']}:{lost['pid']}"
            error = {
                "type": "WorkerLost",
                "message": f"worker {label} was lost while the job ran: {why}",
                "worker": label,
                "traceback": "",
            }
            held = await store.rescue(
                connection, lost["id"], crash_cap=crash_cap, error=json.dumps(error),
                begun=_to_blame(begun, stopping=told_to_stop or lost["stopping"]), move=move,
            )  # fmt: skip
            if held or lost["pid"]:
                log.warning("worker %s is lost (%s); it held %d jobs", label, why, len(held))
            rows += held
            labels.update((row["id"], label) for row in held)
        return rows

    try:
        rows = await store.link.transact(work, deadline=READ_ALL_SECONDS)
    except Rejected as exc:
        log.warning("a job of a lost worker cannot be ended, and is given back: %s", exc)
        rows = await store.link.transact(partial(work, move=False), deadline=READ_ALL_SECONDS)
    for row in rows:
        log.log(
            logging.ERROR if row["fate"] == "dead" else logging.WARNING,
            "job %d (%s) of lost worker %s (%s): %s",
            row["id"], row["task"], labels[row["id"]], why, row["fate"],
            extra={"job_id": row["id"], "task": row["task"], "queue": row["queue"]},
        )  # fmt: skip
    return await announce(store, ((r["queue"], r["position"]) for r in rows if r["position"]))


def _to_blame(
    begun: Sequence[tuple[int, int]] | None, *, stopping: bool
) -> Sequence[tuple[int, int]] | None:
    """Return the jobs that may have caused the end of a worker; None if any may have.

    A worker that is stopping is expected to end, and others end it if it takes too long: no job is
    blamed. A job that does kill its worker during a stop is not blamed either; it will be the next
    time.
    """
    return () if stopping else begun


async def announce(store: Store, places: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Tell all workers that jobs are ready again at old positions; return the lowest by queue."""
    lowest: dict[str, int] = {}
    for queue, position in places:
        lowest[queue] = min(position, lowest.get(queue, position))
    if lowest:
        queues = sorted(lowest)
        await store.rewind(queues, [lowest[queue] for queue in queues])
    return lowest
