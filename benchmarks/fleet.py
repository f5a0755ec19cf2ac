"""Worker processes of one system: started, looked at, stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.procs import tree_cpu
from benchmarks.systems.base import APPS, Failed, System

__all__ = ["Fleet", "fleet"]

_STOP_SECONDS = 20.0


class Fleet:
    def __init__(self, system: System, processes: list[subprocess.Popen[bytes]], log: Path) -> None:
        self._system = system
        self._processes = processes
        self._log = log

    @property
    def cpu(self) -> float:
        """Seconds of CPU used by all workers so far, their children included."""
        return tree_cpu(process.pid for process in self._processes)

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def check(self) -> None:
        """Raise Failed if a worker has ended."""
        for process in self._processes:
            if (code := process.poll()) is not None:
                tail = self._log.read_text(errors="replace").strip().splitlines()[-8:]
                raise Failed(f"a worker of {self._system.name} ended with {code}: {tail}")

    def stop(self) -> None:
        for process in self._processes:
            _tell(process, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for process in self._processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _tell(process, signal.SIGKILL, group=True)
                process.wait()
            _tell(process, signal.SIGKILL, group=True)  # children that outlived it


def _tell(process: subprocess.Popen[bytes], number: signal.Signals, *, group: bool = False) -> None:
    with contextlib.suppress(ProcessLookupError):
        if group:
            os.killpg(process.pid, number)
        elif process.poll() is None:
            process.send_signal(number)


@contextmanager
def fleet(
    system: System, environment: dict[str, str], *, workers: int = 1, flags: tuple[str, ...] = ()
) -> Iterator[Fleet]:
    """Run so many workers for the body."""
    with tempfile.TemporaryDirectory(prefix="pgqueue-bench-log-") as directory:
        log = Path(directory, "workers.log")
        with log.open("wb") as output:
            processes = [
                subprocess.Popen(
                    system.command("worker", *flags),
                    env=environment,
                    cwd=APPS,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                for _ in range(workers)
            ]
            running = Fleet(system, processes, log)
            try:
                yield running
            except Failed:
                raise
            except Exception as exc:
                tail = log.read_text(errors="replace").strip().splitlines()[-8:]
                raise Failed(f"{exc}; the workers said: {tail}") from exc
            finally:
                running.stop()
