"""Busy loops beside a measurement: each is a process that uses all of the CPU that it gets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from benchmarks.rows import Row

__all__ = ["beside", "busy"]

# It ends with the process that started it, which may be killed.
_LOOP = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(100_000):
        pass
"""


@contextmanager
def busy(loops: int) -> Iterator[list[int]]:
    """Let so many loops run for the body, at the priority of this process; yield their pids."""
    running: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(loops):
            command = [sys.executable, "-c", _LOOP, str(os.getpid())]
            running.append(subprocess.Popen(command, start_new_session=True))
        yield [loop.pid for loop in running]
    finally:
        for loop in running:
            loop.kill()
            loop.wait()


def beside(rows: Sequence[Row], loops: int) -> list[Row]:
    """The rows, each with a note of the loops that ran beside its measurement."""
    if not loops:
        return list(rows)
    said = "beside 1 busy loop" if loops == 1 else f"beside {loops} busy loops"
    return [replace(row, note="; ".join(filter(None, (said, row.note)))) for row in rows]
