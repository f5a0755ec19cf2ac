"""Worker processes of one system: started, looked at, stopped."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.processes import Program

from benchmarks.procs import tree_cpu
from benchmarks.systems.base import APPS, Failed, System

__all__ = ["Fleet", "fleet"]

_STOP_SECONDS = 20.0


class Fleet:
    def __init__(self, system: System, workers: list[Program]) -> None:
        self._system = system
        self._workers = workers

    @property
    def cpu(self) -> float:
        """Seconds of CPU used by all workers so far, their children included."""
        return tree_cpu(self.pids)

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    def check(self) -> None:
        """Raise Failed if a worker has ended."""
        for worker in self._workers:
            if worker.code is not None:
                said = f"ended with {worker.code}: {_tail(worker)}"
                raise Failed(f"a worker of {self._system.name} {said}")

    def stop(self) -> None:
        for worker in self._workers:
            worker.send(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for worker in self._workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(max(0.1, deadline - time.monotonic()))
            worker.send_group(signal.SIGKILL)  # also children that outlived it
            worker.wait()


def _tail(worker: Program) -> list[str]:
    return worker.log().strip().splitlines()[-8:]


@contextmanager
def fleet(
    system: System, environment: dict[str, str], *, workers: int = 1, flags: tuple[str, ...] = ()
) -> Iterator[Fleet]:
    """Run so many workers for the body."""
    with tempfile.TemporaryDirectory(prefix="pgqueue-bench-log-") as directory:
        started = [
            Program(
                system.command("worker", *flags),
                Path(directory, "workers.log"),
                cwd=APPS,
                env=environment,
                inherit=False,
            )
            for _ in range(workers)
        ]
        running = Fleet(system, started)
        try:
            yield running
        except Failed:
            raise
        except Exception as exc:
            raise Failed(f"{exc}; the workers said: {_tail(started[0])}") from exc
        finally:
            running.stop()
