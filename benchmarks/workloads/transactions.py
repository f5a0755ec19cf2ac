"""Async jobs of one insert each in `job.transaction()`, beside the floor.

The floor is a program without a queue (`apps/floor.py`), on as many connections of asyncpg: begin,
insert, one more insert, which marks that this was done, commit.
"""

from __future__ import annotations

from benchmarks.against_floor import AgainstFloor, compare
from benchmarks.bench import Bench
from benchmarks.rows import Row

__all__ = ["run"]


def run(bench: Bench) -> list[Row]:
    return compare(bench, AgainstFloor("transactions", "settle", "async", (5, 20), 10_000))
