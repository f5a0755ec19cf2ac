"""One run of the benchmark: the server, the systems, their turns, and what a turn can use."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.cluster import Database, Server
from benchmarks.rows import Row
from benchmarks.systems.base import Failed, Missing, System, call
from benchmarks.systems.redis import RedisDatabase, RedisSystem, own_redis
from benchmarks.watch import Marks

__all__ = ["Bench", "Run"]

T = TypeVar("T")


@dataclass
class Run:
    """A new database of one system, and the marks of its workers."""

    system: System
    database: Database
    marks: Marks
    settle: float  # seconds until a worker that has nothing to do counts as idle

    @property
    def environment(self) -> dict[str, str]:
        return self.system.environment(self.database.dsn) | self.marks.environment

    def bulk(self, kind: str, first: int, count: int, **extra: int) -> float:
        """Enqueue the jobs numbered from ``first``; return the seconds that it took."""
        seconds = 0.0
        for start in range(first, first + count, self.system.batch):
            size = min(self.system.batch, first + count - start)
            seconds += call(self.system, self.database.dsn, "bulk", kind, start, size, **extra)[
                "seconds"
            ]
        return seconds

    def unfinished(self) -> int:
        return self.database.count(self.system.unfinished)


@dataclass
class Bench:
    server: Server
    systems: list[System]
    rounds: int
    quick: bool
    jobs: int | None
    absent: dict[str, str] = field(default_factory=dict)
    sizes: str | None = None  # of the workload `fleet`
    as_they_come: bool = False  # no system is measured at its kindest as well
    rows: int | None = None  # of the workload `history`
    seconds: float | None = None  # of the workload `sustained`
    slots: tuple[int, ...] = ()  # of each worker of `fleet`; empty: as each system is set
    failures: dict[str, str] = field(default_factory=dict)

    def count(self, system: System, seconds: float, *, least: int = 300) -> int:
        """How many jobs keep this system busy for about so long."""
        if self.quick:
            return min(self.jobs or 200, 1000)
        if self.jobs is not None:
            return self.jobs
        return max(least, int(system.pace * seconds) // 100 * 100)

    def size(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def span(self, full: float, quick: float) -> float:
        return quick if self.quick else full

    def doing(self, workload: str) -> list[System]:
        return [system for system in self.systems if workload in system.workloads]

    @contextmanager
    def run(self, system: System, jobs: int) -> Iterator[Run]:
        def install(dsn: str) -> None:
            call(system, dsn, "install")

        directory = Path(tempfile.mkdtemp(prefix="pgqueue-bench-marks-", dir=_memory()))
        marks = Marks(directory, jobs)
        try:
            with self._database(system, install) as database:
                yield Run(system, database, marks, self.span(1.5, 0.2))
        finally:
            marks.close()
            shutil.rmtree(directory, ignore_errors=True)

    def in_turn(
        self, workload: str, systems: Sequence[System], turn: Callable[[System], T]
    ) -> dict[str, list[T]]:
        """Let the systems take turns, A B A B; who fails keeps no figures, and is reported."""
        results: dict[str, list[T]] = {system.name: [] for system in systems}
        for number in range(self.rounds):
            for system in systems:
                key = f"{workload}/{system.name}"
                if key in self.failures:
                    continue
                say(f"{workload} {number + 1}/{self.rounds}: {system.name}")
                try:
                    results[system.name].append(turn(system))
                except (Failed, Missing, subprocess.TimeoutExpired) as exc:
                    self.failures[key] = str(exc)
                    say(f"  failed: {exc}")
        return {
            name: found
            for name, found in results.items()
            if f"{workload}/{name}" not in self.failures
        }

    def failed_rows(self, workload: str) -> list[Row]:
        """A row for each system that was asked for and has no figures."""
        rows = [
            Row(workload, name, "not installed", None, "", note=why)
            for name, why in self.absent.items()
        ]
        for key, why in self.failures.items():
            of, _, name = key.partition("/")
            if of == workload:
                rows.append(Row(workload, name, "failed", None, "", ok=False, note=why[:500]))
        return rows

    @contextmanager
    def _database(self, system: System, install: Callable[[str], None]) -> Iterator[Any]:
        if isinstance(system, RedisSystem):
            with own_redis() as redis:
                yield RedisDatabase(redis)
        else:
            with self.server.database(system.name, install, settled=not self.quick) as database:
                yield database


def _memory() -> str | None:
    """Where the marks are: in memory, for they are no part of what is measured."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


_BEGAN = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - _BEGAN:6.1f}] {text}", file=sys.stderr, flush=True)
