"""What a worker has done, and a line of it in the log now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, fields

from pgqueue.observe.aside import revive

__all__ = ["Statistics", "summarise"]

log = logging.getLogger("pgqueue.worker")

_STATES = ("running", "stuck", "unwritten")  # the others only grow


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts since this worker started.

    ``running``, ``stuck`` and ``unwritten`` are as of now. ``stuck``: of the running, those that
    were told to end seconds ago, have not ended, and keep their slot.
    """

    claimed: int
    started: int
    running: int
    stuck: int
    completed: int
    retried: int
    dead: int
    released: int
    cancelled: int
    promoted: int
    unwritten: int
    claims: int
    flushes: int


async def summarise(statistics: Callable[[], Statistics], every: float) -> None:
    """Log one line every so many seconds, if anything happened; never if that is 0."""
    last = statistics()
    while every:
        await asyncio.sleep(every)
        revive()  # a job may have configured logging
        now = statistics()
        change = {
            f.name: getattr(now, f.name) - getattr(last, f.name)
            for f in fields(Statistics)
            if f.name not in _STATES
        }
        # An idle worker claims as well, in vain.
        happened = any(n for name, n in change.items() if name != "claims")
        if happened or now.running or now.unwritten:
            log.info(
                "in %.0f s: %d completed, %d retried, %d dead, %d cancelled; "
                "%d running%s, %d to be written",
                every, change["completed"], change["retried"], change["dead"],
                change["cancelled"], now.running, f" ({now.stuck} stuck)" if now.stuck else "",
                now.unwritten, extra=change | {"stuck": now.stuck},
            )  # fmt: skip
        last = now
