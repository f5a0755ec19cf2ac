"""One host as the others see it: ``pgqueue worker`` and all its processes, at default settings."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import psutil

from chaos.arena import ROOT
from chaos.figures.trace import HOME
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from chaos.figures.place import Place

__all__ = ["Host"]

_START_SECONDS = 30.0


class Host:
    """A supervisor with its processes; with one process there is no supervisor.

    ``dsn``: if not the place's own. ``prefix``: a command to run it under, which must not fork.
    """

    def __init__(
        self,
        place: Place,
        *,
        processes: int = 2,
        dsn: str | None = None,
        prefix: Sequence[str] = (),
        env: dict[str, str] | None = None,
    ) -> None:
        self.place = place
        self.processes = processes
        self.log_file: Path = place.home / f"log-{len(list(place.home.glob('log-*')))}"
        with self.log_file.open("wb") as log:
            self._popen = subprocess.Popen(
                [*prefix, sys.executable, "-m", "pgqueue", "worker", "chaos.figures.jobs:app",
                 "--processes", str(processes)],
                cwd=ROOT,
                env={
                    **os.environ,
                    "PGQUEUE_DSN": dsn or place.dsn,
                    HOME: str(place.home),
                    **(env or {}),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self._seen: dict[int, psutil.Process] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.thaw()
        self.kill()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def pids(self) -> list[int]:
        """Its processes that are alive, the first one first."""
        with contextlib.suppress(psutil.NoSuchProcess):
            first = psutil.Process(self.pid)
            for process in (first, *first.children(recursive=True)):
                self._seen.setdefault(process.pid, process)
        return [pid for pid, process in self._seen.items() if _is_alive(process)]

    def seen(self) -> frozenset[int]:
        """All that it has had."""
        return frozenset(self._seen)

    def workers(self) -> list[int]:
        """Its processes that are registered, as the database has them."""
        mine = set(self.pids())
        return [pid for (pid,) in self.place.rows("select pid from pgqueue.worker") if pid in mine]

    def until_ready(self) -> Self:
        """Wait until all its processes are registered."""
        wait_until(
            lambda: len(self.workers()) == self.processes or self._popen.poll() is not None,
            timeout_s=_START_SECONDS,
            what=f"{self.processes} processes are registered",
        )
        if self._popen.poll() is not None:
            raise RuntimeError(f"the worker ended: {self.log()[-1000:]}")
        return self

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """To the first process alone."""
        self._popen.send_signal(number)

    def kill(self) -> float:
        """Kill all its processes, the supervisor first; return when."""
        at = time.monotonic()
        for pid in self.pids():
            _send(pid, signal.SIGKILL)
        self._popen.wait()
        psutil.wait_procs(list(self._seen.values()), timeout=10)
        return at

    def freeze(self) -> float:
        """Stop all its processes where they are; return when."""
        at = time.monotonic()
        for pid in self.pids():
            _send(pid, signal.SIGSTOP)
        return at

    def thaw(self) -> None:
        for pid in self.pids():
            _send(pid, signal.SIGCONT)

    def ended(self, timeout_s: float = 60.0) -> int:
        """Wait for its end; return the exit code."""
        return self._popen.wait(timeout_s)

    def cpu_seconds(self) -> dict[int, float]:
        """What each of its processes has used so far, of all cores together."""
        return {pid: _cpu(self._seen[pid]) for pid in self.pids()}

    def resident_mb(self) -> dict[int, float]:
        return {pid: self._seen[pid].memory_info().rss / 2**20 for pid in self.pids()}


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
