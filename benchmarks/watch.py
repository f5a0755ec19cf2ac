"""What the workers have run so far, read from their marks (see apps/common.py)."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from benchmarks.systems.base import Failed

__all__ = ["Marks", "Stamp"]

HEAD = 64


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a timed job was enqueued, in ms of the monotonic clock, and its wait in ms."""

    enqueued_ms: int
    wait_ms: float


class Marks:
    """The marks of all processes of one run, for jobs numbered from 0 to ``jobs``."""

    def __init__(self, directory: Path, jobs: int) -> None:
        self.directory = directory
        self.jobs = jobs
        self._size = HEAD + (jobs + 7) // 8 * 8 + 8 * jobs
        self._maps: dict[str, mmap.mmap] = {}

    @property
    def environment(self) -> dict[str, str]:
        return {"BENCH_MARKS": str(self.directory), "BENCH_JOBS": str(self.jobs)}

    def processes(self) -> int:
        """Processes that have begun to run jobs."""
        self._look()
        return len(self._maps)

    def executed(self, first: int = 0, count: int | None = None) -> int:
        """How many of these jobs have run, or have begun to."""
        end = self.jobs if count is None else first + count
        blocks = self._blocks(first, end)
        if len(blocks) == 1:
            return end - first - blocks[0].count(0)
        together = 0
        for block in blocks:
            together |= int.from_bytes(block, "little")
        return end - first - together.to_bytes(end - first, "little").count(0)

    def stamped(self) -> int:
        """How many timed jobs have begun."""
        return sum(self.counts().values())

    def counts(self) -> dict[str, int]:
        """How many timed jobs have begun, by process."""
        self._look()
        return {name: struct.unpack_from("Q", m)[0] for name, m in self._maps.items()}

    def stamps(self, after: Mapping[str, int] = MappingProxyType({})) -> list[Stamp]:
        """The timed jobs, in the order of enqueueing; those that came ``after`` so many.

        Raise Failed if a process timed more than there is room for: its last ones were not noted.
        """
        found: list[Stamp] = []
        for name, end in self.counts().items():
            if end > self.jobs:
                raise Failed(f"a process timed {end:,} jobs, and there is room for {self.jobs:,}")
            first = after.get(name, 0)
            start = self._size - 8 * self.jobs + 8 * first
            values = struct.unpack_from(f"{2 * max(0, end - first)}I", self._maps[name], start)
            found += [Stamp(values[i], values[i + 1] / 1000) for i in range(0, len(values), 2)]
        return sorted(found, key=lambda stamp: stamp.enqueued_ms)

    def check(self, first: int, count: int) -> None:
        """Raise Failed unless each of these jobs ran exactly once."""
        blocks = self._blocks(first, first + count)
        together = 0
        for block in blocks:
            together |= int.from_bytes(block, "little")
        lost = together.to_bytes(count, "little").count(0)
        runs = sum(map(sum, blocks))
        if lost or runs != count:
            raise Failed(f"{lost} of {count} jobs lost, {runs} executions")

    def _blocks(self, first: int, end: int) -> list[bytes]:
        self._look()
        return [m[HEAD + first : HEAD + end] for m in self._maps.values()] or [bytes(end - first)]

    def _look(self) -> None:
        for path in self.directory.iterdir():
            if path.name not in self._maps and path.stat().st_size >= self._size:
                with path.open("rb") as file:
                    self._maps[path.name] = mmap.mmap(
                        file.fileno(), self._size, access=mmap.ACCESS_READ
                    )

    def close(self) -> None:
        for marks in self._maps.values():
            marks.close()
        self._maps.clear()
