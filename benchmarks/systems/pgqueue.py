"""pgqueue: `pgqueue worker module:app`, no flag set, uvloop since it is installed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pgqueue
from benchmarks.systems.base import ALL, APPS, clean_environment, here

__all__ = ["SYSTEM", "PgQueue"]


@dataclass(frozen=True)
class PgQueue:
    name: str = "pgqueue"
    about: str = "keeps history; leases, fencing tokens, retries and logging on"
    settings: str = "the defaults of `pgqueue worker`, no flag; uvloop by its extra"
    pace: int = 60_000
    unfinished: str = "select count(*) from pgqueue.job where position is not null"
    workloads: Sequence[str] = (
        *(*ALL, "flow", "transactions", "threads"),
        *("batch", "sustained", "history"),
    )
    batch: int = 10_000_000
    knobs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kindest: Mapping[str, str] = field(default_factory=dict)

    def version(self) -> str:
        return pgqueue.__version__

    def command(self, role: str, *arguments: str) -> list[str]:
        if role == "worker":
            program = str(Path(here()).parent / "pgqueue")
            return [program, "worker", "use_pgqueue:app", *arguments]
        return [here(), str(APPS / "use_pgqueue.py"), role, *arguments]

    def environment(self, dsn: str) -> dict[str, str]:
        env = {**clean_environment(), "BENCH_DSN": dsn, "PGQUEUE_DSN": dsn}
        env["PATH"] = os.pathsep.join((str(Path(here()).parent), env.get("PATH", "")))
        return env


SYSTEM = PgQueue()
