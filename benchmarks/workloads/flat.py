"""Whether it stays as fast: under a held snapshot, a backlog, scheduled jobs, a long history."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.rows import Row
from benchmarks.workloads import flat_ballast, flat_rounds, flat_stream

__all__ = ["run"]

NAME = "flat"


def run(bench: Bench) -> list[Row]:
    rows = flat_rounds.run(bench) + flat_stream.run(bench) + flat_ballast.run(bench)
    return rows + bench.failed_rows(NAME)
