"""The stop of a worker: its order, and how long each part of it may take.

In order: claim no more; release what was claimed and not begun; let running jobs finish until the
grace is over; cancel them; release those with their attempt; write what is left; end the
heartbeat last. A second request skips the grace.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pgqueue.outcome import RELEASED
from pgqueue.worker.finish.completer import Completer
from pgqueue.worker.receipt import Claimed, entry_of
from pgqueue.worker.stop_times import ANNOUNCE_SECONDS, FORCED_SECONDS
from pgqueue.worker.timings import StopTimings

if TYPE_CHECKING:
    from pgqueue.worker.machines import Machines
    from pgqueue.worker.run.runner import Runner

__all__ = ["wind_down"]

log = logging.getLogger("pgqueue.worker")


async def wind_down(
    machines: Machines,
    *,
    grace: float,
    forced: asyncio.Event,
    on_jobs_over: Callable[[], None],
    timings: StopTimings,
) -> int:
    """End what runs and write what it came to; return how many outcomes were not written.

    ``forced``: set when there is to be no grace. ``on_jobs_over`` is called once no job is waited
    for any more.
    """
    began = time.monotonic()
    runner, completer = machines.runner, machines.completer
    await machines.claimer.stop()
    await machines.promoter.stop()
    _release(completer, runner.empty_buffer())
    if not await _finish_in_grace(runner, grace, forced):
        runner.cancel_all("stop")
        if not await runner.wait_quiet(FORCED_SECONDS if forced.is_set() else timings.cancel):
            stuck = runner.abandon()
            log.error("%d jobs did not end when told to; they are released", len(stuck))
            _release(completer, stuck)
    on_jobs_over()
    rest = 0.0 if forced.is_set() else grace - (time.monotonic() - began)
    unwritten = await completer.stop(max(timings.write, rest))
    if machines.session.announcements:
        await asyncio.wait(machines.session.announcements, timeout=ANNOUNCE_SECONDS)
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
