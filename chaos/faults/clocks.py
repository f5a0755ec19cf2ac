"""Clocks that jump: libfaketime shifts the wall clock of a process while it runs. F26, F27.

The monotonic clock stays as it is: it is the one by which the campaign writes its history, and
no operator and no NTP daemon sets it.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.faults.fault import BaseFault, Impossible, direct, some_worker
from chaos.faults.packages import FAKETIME, unpacked
from chaos.faults.processes import until_up

if TYPE_CHECKING:
    from chaos.arena import Arena, WorkerProcess

__all__ = ["JUMPS", "ServerClock", "WorkerClock", "faked", "set_clock"]

_HOUR = 3600
JUMPS = (-_HOUR, -60, 0, 60, _HOUR)
"""By how many seconds the clock of a worker is off, in turns."""


def faked(offset_file: Path) -> dict[str, str]:
    """Return the environment of a process whose wall clock follows the file."""
    found = sorted(unpacked(FAKETIME).glob("usr/lib/*/faketime/libfaketimeMT.so.1"))
    if not found:
        raise Impossible("the package libfaketime has no libfaketimeMT.so.1")
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset_file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",
    }


def set_clock(offset_file: Path, seconds: float) -> None:
    """Shift the clock by that much from the true time, at once."""
    draft = offset_file.with_suffix(".draft")
    draft.write_text(f"{seconds:+.3f}\n")
    draft.chmod(0o644)
    draft.replace(offset_file)


class WorkerClock(BaseFault):
    """The wall clock of one worker jumps by up to an hour, to and fro."""

    name = "worker-clock"
    label = "F26"
    disruptive = 4.0

    async def strike(self, arena: Arena) -> None:
        worker = some_worker(arena)
        offsets = worker.home / f"{worker.name}.clock"
        set_clock(offsets, 0)
        env = await asyncio.to_thread(faked, offsets)
        jumps = [arena.rng.choice(JUMPS) for _ in range(4)]
        children = worker.pids()
        try:
            await self._restart(worker)
            worker.env.update(env)
            worker.start()
            await until_up(worker, set(children))
            for jump in jumps:
                set_clock(offsets, jump)
                await asyncio.sleep(arena.rng.uniform(0.5, 1.5))
            arena.log("jumped", worker=worker.name, by=jumps)
        finally:
            for name in env:
                worker.env.pop(name, None)
            children = worker.pids()
            await self._restart(worker)
            worker.start()
        await until_up(worker, set(children))

    @staticmethod
    async def _restart(worker: WorkerProcess) -> None:
        worker.kill(signal.SIGTERM)
        if not await worker.ended():
            raise AssertionError(f"{worker} does not stop")


class ServerClock(BaseFault):
    """The server's wall clock jumps by up to an hour; only where it runs under libfaketime."""

    name = "server-clock"
    label = "F27"
    disruptive = 10.0

    def __init__(self, offset_file: Path) -> None:
        self._file = offset_file

    async def strike(self, arena: Arena) -> None:
        jump = arena.rng.choice((-_HOUR, -60, -4, 4, 60, _HOUR))
        try:
            async with direct(arena) as own:
                before = await own.fetchval("select clock_timestamp()")
                set_clock(self._file, jump)
                after = await own.fetchval("select clock_timestamp()")
            moved = (after - before).total_seconds()
            arena.log("jumped", by=jump, seen=round(moved, 1))
            if abs(moved - jump) > 2:
                raise AssertionError(f"the server's clock moved by {moved} s, not by {jump}")
            await asyncio.sleep(arena.rng.uniform(1.0, 5.0))
        finally:
            set_clock(self._file, 0)
