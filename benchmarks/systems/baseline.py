"""The floor: bare INSERTs of pgqueue's own row, and a loop that deletes what it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.systems.base import ALL, APPS, clean_environment, here

__all__ = ["SYSTEM", "Baseline"]


@dataclass(frozen=True)
class Baseline:
    name: str = "baseline"
    about: str = (
        "bare INSERT (bulk: COPY) of pgqueue's row into an equal table; a loop that deletes 1,000 "
        "at a time before it runs them, so a crash loses them; latency is a poll of 5 ms"
    )
    settings: str = "none to set"
    pace: int = 60_000
    unfinished: str = "select count(*) from bare.job"
    workloads: Sequence[str] = tuple(
        name for name in ALL if name not in ("many", "io", "idle", "mixed", "fleet")
    )
    batch: int = 10_000_000
    knobs: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {"BENCH_TAKE": ("1000", "500", "2000", "4000")}
    )
    kindest: Mapping[str, str] = field(default_factory=dict)

    def version(self) -> str:
        return "-"

    def command(self, role: str, *arguments: str) -> list[str]:
        return [here(), str(APPS / "use_baseline.py"), role, *arguments]

    def environment(self, dsn: str) -> dict[str, str]:
        return {**clean_environment(), "BENCH_DSN": dsn}


SYSTEM = Baseline()
