"""Workers that nobody can tell apart by host and process id, as two containers are. F32."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from typing import TYPE_CHECKING

from chaos.faults.fault import BaseFault, Impossible, direct, some_worker, wait_for
from chaos.faults.processes import send

if TYPE_CHECKING:
    from chaos.arena import Arena, WorkerProcess
    from tests.harness.processes import Program

__all__ = ["Twins"]

_TWINS = (
    "select coalesce(max(n), 0) from"
    " (select count(*) as n from pgqueue.worker group by host, pid) as t"
)


class Twins(BaseFault):
    """Two more workers, each in a process namespace of its own: same host, same pids."""

    name = "twins"
    label = "F32"
    disruptive = 4.0

    async def strike(self, arena: Arena) -> None:
        if os.geteuid() != 0 or shutil.which("unshare") is None:
            raise Impossible("a process namespace needs root and unshare")
        like = some_worker(arena)
        spaces = [_start(like) for _ in range(2)]
        try:
            async with direct(arena) as own:

                async def twins() -> bool:
                    return int(await own.fetchval(_TWINS)) > 1

                if not await wait_for(twins, seconds=20.0):
                    raise AssertionError("no two workers have the same host and pid")
                arena.log("twins", pids=[space.pid for space in spaces])
                await asyncio.sleep(arena.rng.uniform(1.0, 4.0))
            if arena.rng.random() < 0.5:
                spaces[0].clear_away()  # all in it go with its first process
            for space in spaces:
                for child in space.children()[:1]:
                    send(child.pid, signal.SIGTERM)
            await wait_for(lambda: all(not s.runs for s in spaces), seconds=30.0)
        finally:
            for space in spaces:
                space.clear_away()


def _start(like: WorkerProcess) -> Program:
    return like.run("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
