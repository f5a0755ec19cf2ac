"""The stop of a worker: its order, and how long each part of it may take.

In order: claim no more; give back what was claimed and not begun; let running jobs finish until the
grace is over; cancel them; give those back with their attempt; write what is left; end the
heartbeat last. A second request skips the grace.

With default settings and a server that answers, a stop takes at most

- 20 (grace) + 5 (cancel) + 1 (slots) + 2 s (close) with jobs that do not end when they are
  cancelled; they are given back after the first two;
- 20 (grace) + 5 (cancel) + 1 (probe) + 2.5 s (give back) with a job that blocks the event loop.

Both are below the 30 s after which Kubernetes sends KILL.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pgqueue.config import WorkerSettings
from pgqueue.db.session import LOCK_SECONDS
from pgqueue.outcome import RELEASED
from pgqueue.worker.completer import ASIDE_SECONDS, Completer, entry_of

if TYPE_CHECKING:
    from pgqueue.worker.claimer import Claimer
    from pgqueue.worker.promoter import Promoter
    from pgqueue.worker.runner import Runner
    from pgqueue.worker.waiting import Claimed

__all__ = [
    "CANCEL_SECONDS",
    "CLOSE_SECONDS",
    "FORCED_SECONDS",
    "GIVE_BACK_SECONDS",
    "PROBE_SECONDS",
    "SLOTS_SECONDS",
    "patience",
    "wind_down",
]

log = logging.getLogger("pgqueue.worker")

CANCEL_SECONDS = 5.0
"""How long cancelled jobs may take to end."""

PROBE_SECONDS = 1.0
"""How long an event loop may take to answer before it counts as blocked at a stop."""

GIVE_BACK_SECONDS = 2.5
"""How long giving jobs back may take when the event loop is blocked."""

SLOTS_SECONDS = 1.0
"""How long slots with jobs that do not end are waited for, once those are given back."""

CLOSE_SECONDS = 2.0
"""How long the event loop and the interpreter may take to close after a stop."""

FORCED_SECONDS = 1.0
"""How long cancelled jobs may take to end after a second request."""

_WRITE_SECONDS = 5.0
_ANNOUNCE_SECONDS = 2.0
_MARGIN = 15.0
_KUBERNETES_SECONDS = 30.0

_JOBS_SECONDS = WorkerSettings().grace + CANCEL_SECONDS
assert _JOBS_SECONDS + SLOTS_SECONDS + CLOSE_SECONDS < _KUBERNETES_SECONDS
assert _JOBS_SECONDS + PROBE_SECONDS + GIVE_BACK_SECONDS < _KUBERNETES_SECONDS
# A supervisor is more patient than any stop of its process is long, on a server that answers.
assert _WRITE_SECONDS + _ANNOUNCE_SECONDS + SLOTS_SECONDS + CLOSE_SECONDS < _MARGIN
assert PROBE_SECONDS + GIVE_BACK_SECONDS < _MARGIN
# An outcome whose row was locked is tried once more before it is given up.
assert LOCK_SECONDS + ASIDE_SECONDS + LOCK_SECONDS < _WRITE_SECONDS
assert FORCED_SECONDS < CANCEL_SECONDS


def patience(settings: WorkerSettings, *, forced: bool = False) -> float:
    """Return how many seconds after a request to stop a process is killed that still runs.

    It allows for a server that does not answer, which delays a stop by up to three deadlines.
    """
    grace = 0.0 if forced else settings.grace
    return grace + CANCEL_SECONDS + _MARGIN + 3 * settings.deadline


async def wind_down(
    claimer: Claimer,
    promoter: Promoter,
    runner: Runner,
    completer: Completer,
    *,
    grace: float,
    forced: asyncio.Event,
    on_jobs_over: Callable[[], None],
    announcements: set[asyncio.Task[None]],
) -> int:
    """End what runs and write what it came to; return how many outcomes were not written.

    ``forced``: set when there is to be no grace. ``on_jobs_over`` is called once no job is waited
    for any more.
    """
    began = time.monotonic()
    await claimer.stop()
    await promoter.stop()
    _release(completer, runner.empty_buffer())
    if not await _finish_in_grace(runner, grace, forced):
        runner.cancel_all("stop")
        if not await runner.wait_quiet(FORCED_SECONDS if forced.is_set() else CANCEL_SECONDS):
            stuck = runner.abandon()
            log.error("%d jobs did not end when told to; they are given back", len(stuck))
            _release(completer, stuck)
    on_jobs_over()
    rest = 0.0 if forced.is_set() else grace - (time.monotonic() - began)
    unwritten = await completer.stop(max(_WRITE_SECONDS, rest))
    if announcements:
        await asyncio.wait(announcements, timeout=_ANNOUNCE_SECONDS)
    return unwritten


async def _finish_in_grace(runner: Runner, grace: float, forced: asyncio.Event) -> bool:
    """Return True once nothing runs; False when the grace is over or was skipped."""
    quiet = asyncio.ensure_future(runner.wait_quiet(grace))
    force = asyncio.ensure_future(forced.wait())
    await asyncio.wait([quiet, force], return_when=asyncio.FIRST_COMPLETED)
    done = quiet.done() and quiet.result()
    for waiter in (quiet, force):
        waiter.cancel()
    await asyncio.wait([quiet, force])
    return done


def _release(completer: Completer, claimed: Sequence[Claimed]) -> None:
    for record, token in claimed:
        completer.add(entry_of(record, token, RELEASED))
