"""Gives dead workers' jobs back: the outcome that they could not write, with the same fence."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from pgqueue.db.faults import Rejected
from pgqueue.db.store import READ_ALL_SECONDS, Store
from pgqueue.errors import PgQueueError

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = [
    "SECOND_LOOK_AFTER",
    "Rescued",
    "announce",
    "release_worker",
    "rescue_children",
    "rescue_workers",
]

log = logging.getLogger("pgqueue.rescue")

SECOND_LOOK_AFTER = 0.5
"""Seconds after which the server has ended a claim that a dead worker sent last, as a rule."""


class Rescued(NamedTuple):
    """What a rescue did."""

    workers: list[int]
    """Those that were lost, and that nobody else was at."""
    lowest: dict[str, int]
    """By queue, the lowest position of the jobs that were released."""


async def rescue_workers(
    store: Store,
    workers: Sequence[int],
    *,
    crash_cap: int,
    vanished: bool = False,
    orphaned: bool = False,
) -> Rescued:
    """Release what these workers held, as far as they are still lost, in one transaction.

    ``orphaned``: their rows must be gone already, so there is nothing to lock.
    """

    async def take(connection: Connection) -> list[Record]:
        if orphaned:
            rows = await store.registered(connection, workers)
            unknown = {"host": "?", "pid": 0, "stopping": False}
            return [{"id": one, **unknown} for one in workers if one not in rows]  # type: ignore[list-item]
        return await store.lock_lost(connection, workers, vanished=vanished)

    why = (
        "its row was deleted" if orphaned else "its session is gone" if vanished else "no heartbeat"
    )
    try:
        # What an orphan holds was claimed after its row was gone: that is no crash of anybody's.
        return await _rescue(
            store, take, crash_cap=crash_cap, why=why, spare=orphaned, yields=len(workers) == 1
        )
    except Rejected as exc:
        if len(workers) == 1:
            raise
        # A job of one of them must not change what becomes of the others' jobs.
        log.warning("the lost workers are rescued one by one: %s", exc)
    rescued = Rescued([], {})
    for one in workers:
        each = await rescue_workers(
            store, [one], crash_cap=crash_cap, vanished=vanished, orphaned=orphaned
        )
        rescued.workers.extend(each.workers)
        _lower(rescued.lowest, each.lowest.items())
    return rescued


async def rescue_children(
    store: Store,
    supervisor: int,
    pid: int,
    *,
    crash_cap: int,
    begun: Sequence[tuple[int, int]] | None,
    told_to_stop: bool = False,
) -> dict[str, int]:
    """Release what a supervisor's child held that was seen to end.

    ``begun``: ids and claim tokens of the jobs that it had started, the only ones to blame;
    None if nobody knows. ``told_to_stop``: no crash is counted, whatever its row says.
    The server may still be at work on a claim that the child sent last, so there is a second look.
    """

    async def take(connection: Connection) -> list[Record]:
        return await store.lock_children(connection, supervisor, pid)

    rescued = Rescued([], {})
    for wait in (0.0, SECOND_LOOK_AFTER, 2 * SECOND_LOOK_AFTER):
        await asyncio.sleep(wait)
        rescued = await _rescue(
            store, take, crash_cap=crash_cap, why="its process ended", begun=begun,
            spare=told_to_stop,
        )  # fmt: skip
        if rescued.workers or not begun:
            break
        # It had registered, so the server is at work on its last heartbeat, or another was faster.
    if rescued.workers:
        await asyncio.sleep(SECOND_LOOK_AFTER)
        late = await rescue_workers(store, rescued.workers, crash_cap=crash_cap, orphaned=True)
        _lower(rescued.lowest, late.lowest.items())
    return rescued.lowest


async def release_worker(
    store: Store, worker: int, *, done: Iterable[tuple[int, int]], crash_cap: int
) -> None:
    """Release what this process holds and take it off the list; no crash is counted.

    ``done``: ids and claim tokens of what has succeeded, to be written before.
    """

    async def take(_: Connection) -> list[Record]:
        own = {"id": worker, "host": socket.gethostname(), "pid": os.getpid(), "stopping": True}
        return [own]  # type: ignore[list-item]

    receipts = sorted(done)
    if receipts:
        with contextlib.suppress(PgQueueError):
            ids, tokens = [i for i, _ in receipts], [t for _, t in receipts]
            await store.finish_in_flows(ids, tokens, "completed", [None] * len(ids))
    await _rescue(store, take, crash_cap=crash_cap, why="it cannot stop in order", spare=True)


async def _rescue(
    store: Store,
    take: Callable[[Connection], Awaitable[list[Record]]],
    *,
    crash_cap: int,
    why: str,
    begun: Sequence[tuple[int, int]] | None = None,
    spare: bool = False,
    yields: bool = True,
) -> Rescued:
    """Release what those held that ``take`` answers, within one transaction.

    ``spare``: no job is blamed. ``yields``: what cannot be ended is released.
    """
    labels: dict[int, str] = {}

    async def work(connection: Connection, *, move: bool = True) -> list[Record]:
        lost = await take(connection)
        labels.clear()
        labels.update((row["id"], f"{row['host']}:{row['pid']}") for row in lost)
        if not lost:
            return []
        held = await store.rescue(
            connection,
            {worker: _error(label, why) for worker, label in labels.items()},
            crash_cap=crash_cap,
            begun=begun,
            # A worker that is stopping is expected to end, and others end it if it takes too long:
            # no job is blamed. One that does kill its worker then will be blamed the next time.
            spared=[row["id"] for row in lost if spare or row["stopping"]],
            move=move,
        )
        _report_lost(lost, held, labels, why)
        return held

    try:
        rows = await store.link.transact(work, deadline=READ_ALL_SECONDS)
    except Rejected as exc:
        if not yields:
            raise
        log.warning("a job of a lost worker cannot be ended, and is released: %s", exc)
        rows = await store.link.transact(partial(work, move=False), deadline=READ_ALL_SECONDS)
    _report(rows, labels, why)
    lowest = await announce(store, ((r["queue"], r["position"]) for r in rows if r["position"]))
    return Rescued(list(labels), lowest)


def _report_lost(
    lost: Iterable[Record], held: Iterable[Record], labels: dict[int, str], why: str
) -> None:
    counts = Counter(row["worker_id"] for row in held)
    for row in lost:
        if counts[row["id"]] or row["pid"]:
            log.warning(
                "worker %s is lost (%s); it held %d jobs",
                labels[row["id"]], why, counts[row["id"]],
            )  # fmt: skip


def _report(rows: Iterable[Record], labels: dict[int, str], why: str) -> None:
    for row in rows:
        if row["fate"] == "halted":
            log.warning(
                'flow "%s": key "%s" stands still, since a job of it is dead and its jobs run in '
                "order",
                row["flow"], row["key"],
            )  # fmt: skip
            continue
        log.log(
            logging.ERROR if row["fate"] == "dead" else logging.WARNING,
            "job %d (%s) of lost worker %s (%s): %s",
            row["id"], row["task"], labels[row["worker_id"]], why, row["fate"],
            extra={"job_id": row["id"], "task": row["task"], "queue": row["queue"]},
        )  # fmt: skip


def _error(label: str, why: str) -> str:
    return json.dumps(
        {
            "type": "WorkerLost",
            "message": f"worker {label} was lost while the job ran: {why}",
            "worker": label,
            "traceback": "",
        }
    )


async def announce(store: Store, places: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Tell all workers that jobs are ready again at old positions; return the lowest by queue."""
    lowest: dict[str, int] = {}
    _lower(lowest, places)
    if lowest:
        queues = sorted(lowest)
        await store.rewind(queues, [lowest[queue] for queue in queues])
    return lowest


def _lower(lowest: dict[str, int], places: Iterable[tuple[str, int]]) -> None:
    for queue, position in places:
        lowest[queue] = min(position, lowest.get(queue, position))
