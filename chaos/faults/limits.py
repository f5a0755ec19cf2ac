"""A process that runs out of what the system gives it. F52."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from typing import TYPE_CHECKING

from chaos.faults.fault import BaseFault, Impossible, Missed, own_pids, some_worker

if TYPE_CHECKING:
    from chaos.arena import Arena

__all__ = ["NoFiles"]


class NoFiles(BaseFault):
    """A worker process gets no new file descriptor for a while: it goes on with those it has."""

    name = "no-files"
    label = "F52"
    disruptive = 6.0

    async def strike(self, arena: Arena) -> None:
        if not hasattr(resource, "prlimit"):
            raise Impossible("another process's limits cannot be set here")
        worker = some_worker(arena)
        rows = await arena.sql("select pid from pgqueue.worker where not stopping")
        # One that is still starting has files to open, and nothing to say if it cannot.
        started = {row["pid"] for row in rows}.intersection(worker.pids())
        if not started:
            raise Missed("no process has started")
        pid = arena.rng.choice(sorted(started))
        self.victims = own_pids([pid])
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
        arena.log("no files", pid=pid)
        try:
            await asyncio.sleep(arena.rng.uniform(0.5, 2.5))
        finally:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
