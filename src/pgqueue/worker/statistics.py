"""What a worker has done, and a line of it in the log now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, fields

from pgqueue.observe.job_fields import upkeep

__all__ = ["Statistics", "summarise", "summary"]

log = logging.getLogger("pgqueue.worker")

_STATES = ("running", "stuck", "unwritten")  # the others only grow


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts since this worker started.

    Of jobs: ``claimed``, ``started``; of attempts, by what they came to: ``completed``,
    ``retried``, ``dead``, ``cancelled``, ``released`` (given back as they were). ``promoted``: jobs
    of the fleet that this worker made ready when they were due. ``claims`` and ``flushes``: how
    many statements claimed and wrote outcomes; ``unwritten``: outcomes that are still to be
    written. ``running``, ``stuck`` and ``unwritten`` are as of now. ``stuck``: of the running,
    those that were told to end seconds ago, have not ended, and keep their slot. ``unlogged``: of
    those completed, how many got no line of the log, since their task runs hundreds of times a
    second.
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
    unlogged: int


def summary(last: Statistics, now: Statistics, every: float) -> tuple[str, dict[str, int]] | None:
    """Return the line about the last ``every`` seconds with its fields; None if all was quiet."""
    change = {
        f.name: getattr(now, f.name) - getattr(last, f.name)
        for f in fields(Statistics)
        if f.name not in _STATES
    }
    # An idle worker claims as well, in vain.
    happened = any(n for name, n in change.items() if name != "claims")
    if not (happened or now.running or now.unwritten):
        return None
    said = ", ".join(
        f"{change[what]} {what}" for what in ("completed", "retried", "dead", "cancelled")
    )
    stuck = f" ({now.stuck} stuck)" if now.stuck else ""
    line = f"in {every:.0f} s: {said}; {now.running} running{stuck}, {now.unwritten} to be written"
    if change["unlogged"] > 0:
        line += f"; {change['unlogged']} lines about jobs of frequent tasks left out"
    return line, change | {name: getattr(now, name) for name in _STATES}


async def summarise(statistics: Callable[[], Statistics], every: float) -> None:
    """Log one line every so many seconds, if anything happened; never if that is 0."""
    last = statistics()
    while every:
        await asyncio.sleep(every)
        upkeep()  # a job may have configured logging
        now = statistics()
        if (said := summary(last, now, every)) is not None:
            log.info("%s", said[0], extra=said[1])
        last = now
