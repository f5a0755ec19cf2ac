"""What a worker runs, in memory that its supervisor reads when the process has ended.

A worker holds more than it runs: jobs that wait for a slot, and outcomes that are not written
yet. When its process is killed, the supervisor alone can tell which of them had begun, and only
those may be blamed for the end. A note costs one store into memory, and no system call.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import IO

__all__ = ["MOST_SLOTS", "RunningJobs"]

MOST_SLOTS = 10_000
"""As many as the largest concurrency."""

_BYTES = 16


class RunningJobs:
    """For each slot the id and the claim token of its last job, 0 if it had none.

    A job stays noted after its end, until its slot is taken again: what it left behind may
    kill the process as well. If it has been claimed anew by then, and waits, its token is another.
    Write the token before the id: a reader between the two sees a pair that matches no job.
    """

    def __init__(self, memory: bytearray | mmap.mmap) -> None:
        cells = memoryview(memory).cast("q")
        slots = len(cells) // 2
        self.ids = cells[:slots]
        self.tokens = cells[slots:]

    @classmethod
    def private(cls, slots: int) -> RunningJobs:
        """Return one that nobody else reads."""
        return cls(bytearray(slots * _BYTES))

    @classmethod
    def shared(cls, slots: int = MOST_SLOTS) -> tuple[RunningJobs, IO[bytes]]:
        """Return one, and the file through which a child can ``adopt`` it.

        Who does not know the tasks cannot say how many slots there are. What nothing is noted in
        takes no memory.
        """
        file = _anonymous_file()
        try:
            size = slots * _BYTES
            os.ftruncate(file.fileno(), size)
            return cls(mmap.mmap(file.fileno(), size)), file
        except BaseException:
            file.close()
            raise

    @classmethod
    def adopt(cls, descriptor: int) -> RunningJobs:
        """Return the one behind a descriptor, which is closed: no program of a job's gets it."""
        with open(descriptor, "r+b", buffering=0) as file:
            return cls(mmap.mmap(file.fileno(), 0))

    def read(self) -> list[tuple[int, int]]:
        """Return ids and tokens of the jobs that are noted."""
        noted = zip(self.ids, self.tokens, strict=True)
        return [(job_id, token) for job_id, token in noted if job_id]


def _anonymous_file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("pgqueue-running-jobs"), "r+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)
