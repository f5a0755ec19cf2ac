"""One host as the others see it: ``pgqueue worker`` and all its processes, at default settings."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import psutil

from chaos.figures.trace import HOME
from tests.harness.processes import Program
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from chaos.figures.place import Place

__all__ = ["Host"]

_START_SECONDS = 30.0


class Host(Program):
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
        super().__init__(
            [*prefix, sys.executable, "-m", "pgqueue", "worker", "chaos.figures.jobs:app",
             "--processes", str(processes)],
            place.home / f"log-{len(list(place.home.glob('log-*')))}",
            env={"PGQUEUE_DSN": dsn or place.dsn, HOME: str(place.home), **(env or {})},
        )  # fmt: skip

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

    def workers(self) -> list[int]:
        """Its processes that are registered, as the database has them."""
        mine = set(self.pids())
        return [pid for (pid,) in self.place.rows("select pid from pgqueue.worker") if pid in mine]

    def until_ready(self) -> Self:
        """Wait until all its processes are registered."""
        wait_until(
            lambda: len(self.workers()) == self.processes or not self.runs,
            timeout_s=_START_SECONDS,
            what=f"{self.processes} processes are registered",
        )
        if not self.runs:
            raise RuntimeError(f"the worker ended: {self.log()[-1000:]}")
        return self

    def kill(self) -> float:
        """Kill all its processes, the supervisor first; return when."""
        at = time.monotonic()
        self.clear_away()
        return at

    def freeze(self) -> float:
        """Stop all its processes where they are; return when."""
        at = time.monotonic()
        self.send_all(signal.SIGSTOP)
        return at

    def thaw(self) -> None:
        self.send_all(signal.SIGCONT)

    def cpu_seconds(self) -> dict[int, float]:
        """What each of its processes has used so far, of all cores together."""
        return {pid: _cpu(psutil.Process(pid)) for pid in self.pids()}

    def resident_mb(self) -> dict[int, float]:
        return {pid: psutil.Process(pid).memory_info().rss / 2**20 for pid in self.pids()}


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
