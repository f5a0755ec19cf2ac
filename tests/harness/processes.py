"""A program in a process of its own: started, looked at, told to stop, and cleared away.

Workers of tests, of the fault campaign and of the benchmarks are such programs. What differs from
one to another is its command, and what it asks the database; that stands where it is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

__all__ = ["ROOT", "Program", "is_alive"]

ROOT = Path(__file__).resolve().parents[2]
"""The directory in which ``python -m chaos`` and the like find their modules."""

_LOOK_SECONDS = 0.02


class Program:
    """A command that runs, and all that descends from it.

    It leads a session of its own, so that it may be stopped and continued without the terminal
    having a say. What it says is appended to ``log_file``. ``env`` is added to the environment of
    this process, or is all there is, unless ``inherit``; None takes a variable away.
    """

    def __init__(
        self,
        command: Sequence[str],
        log_file: Path,
        *,
        cwd: Path = ROOT,
        env: Mapping[str, str | None] | None = None,
        inherit: bool = True,
    ) -> None:
        self.log_file = log_file
        merged = {**(os.environ if inherit else {}), **(env or {})}
        with log_file.open("ab") as log:
            self._popen = subprocess.Popen(
                command,
                cwd=cwd,
                env={name: value for name, value in merged.items() if value is not None},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._seen: dict[int, psutil.Process] = {}

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._popen.poll()

    @property
    def runs(self) -> bool:
        return self.code is None

    def log(self) -> str:
        """What it has said so far."""
        return self.log_file.read_text(errors="replace")

    def children(self) -> list[psutil.Process]:
        """The processes below it now, those below its children included."""
        children: list[psutil.Process] = []
        if self.runs:
            with contextlib.suppress(psutil.NoSuchProcess):
                children = psutil.Process(self.pid).children(recursive=True)
        for process in children:
            self._seen.setdefault(process.pid, process)
        return children

    def left(self) -> list[psutil.Process]:
        """The processes that it was found to have and that run, with or without it."""
        self.children()
        return [process for process in self._seen.values() if is_alive(process)]

    def pids(self) -> list[int]:
        """Its own process and those that it was found to have, as far as they run."""
        left = [process.pid for process in self.left()]
        return [self.pid, *left] if self.runs else left

    def seen(self) -> frozenset[int]:
        """All the process ids that it was found to have, those that ended included."""
        return frozenset((self.pid, *self._seen))

    def send(self, number: int) -> None:
        """Send a signal to it alone; nothing if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._popen.send_signal(number)

    def send_all(self, number: int) -> None:
        """Send a signal to it and to all below it, its own process first."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def send_group(self, number: int) -> None:
        """Send a signal to its process group, as a terminal that is closed does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its end; return its exit code."""
        return self._popen.wait(timeout_s)

    async def ended(self, timeout_s: float) -> bool:
        """Wait for its end in an event loop; False if it lives on after so many seconds."""
        until = time.monotonic() + timeout_s
        while self.runs and time.monotonic() < until:  # noqa: ASYNC110  (it rings no bell)
            await asyncio.sleep(_LOOK_SECONDS)
        return not self.runs

    def clear_away(self) -> None:
        """Kill it and all below it, and wait until they are gone."""
        self.send_all(signal.SIGKILL)
        self._popen.wait()
        psutil.wait_procs(self._seen.values(), timeout=10)


def is_alive(process: psutil.Process) -> bool:
    """True if the process runs: one that has ended and is not waited for yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
