"""The stop of a worker: its order, and how long each part of it may take.

In order: claim no more; release what was claimed and not begun; let running jobs finish until the
grace is over; cancel them; release those with their attempt; write what is left; end the
heartbeat last. A second request skips the grace.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pgqueue.outcome import RELEASED
from pgqueue.worker import life_lines
from pgqueue.worker.finish.completer import Completer
from pgqueue.worker.life_lines import StillRuns
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
    if grace and not forced.is_set():
        _say(life_lines.stopping(_still_run(runner), grace))
    await machines.claimer.stop()
    await machines.promoter.stop()
    _release(completer, runner.empty_buffer())
    if not await _finish_in_grace(runner, began + grace, forced, timings.countdown):
        seconds = FORCED_SECONDS if forced.is_set() else timings.cancel
        _say(
            life_lines.told_to_end(
                _still_run(runner), grace, forced=forced.is_set(), seconds=seconds
            ),
            logging.WARNING,
        )
        runner.cancel_all("stop")
        if not await runner.wait_quiet(seconds):
            stuck = [job for job in _still_run(runner) if job.is_owed]
            _release(completer, runner.abandon())
            _say(life_lines.released(stuck), logging.ERROR)
    on_jobs_over()
    rest = 0.0 if forced.is_set() else grace - (time.monotonic() - began)
    unwritten = await completer.stop(max(timings.write, rest))
    if machines.session.announcements:
        await asyncio.wait(machines.session.announcements, timeout=ANNOUNCE_SECONDS)
    return unwritten


async def _finish_in_grace(
    runner: Runner, until: float, forced: asyncio.Event, countdown: float
) -> bool:
    """Return True once nothing runs; False when the grace is over or was skipped.

    Every ``countdown`` seconds the log says how many jobs run.
    """
    force = asyncio.ensure_future(forced.wait())
    try:
        while True:
            left = until - time.monotonic()
            quiet = asyncio.ensure_future(runner.wait_quiet(max(0.0, min(left, countdown))))
            try:
                await asyncio.wait([quiet, force], return_when=asyncio.FIRST_COMPLETED)
                if quiet.done() and quiet.result():
                    return True
            finally:
                await _end(quiet)
            if force.done() or left <= countdown:
                return False
            _say(life_lines.waiting(_still_run(runner), until - time.monotonic()))
    finally:
        await _end(force)


async def _end(waiter: asyncio.Future[Any]) -> None:
    waiter.cancel()
    await asyncio.wait([waiter])


def _still_run(runner: Runner) -> list[StillRuns]:
    now = time.monotonic()
    return [
        StillRuns(
            slot.record["id"], slot.record["task"], now - slot.began,
            in_thread=slot.job is not None and not slot.job.is_async, is_owed=slot.is_owed,
        )
        for slot in runner.slots
        if slot.record is not None
    ]  # fmt: skip


def _say(text: str, level: int = logging.INFO) -> None:
    log.log(level, "stopping (pid %d): %s", os.getpid(), text)


def _release(completer: Completer, claimed: Sequence[Claimed]) -> None:
    for record, token in claimed:
        completer.add(entry_of(record, token, RELEASED))
