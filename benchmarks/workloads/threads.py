"""Jobs in threads of one insert each in `job.transaction()`, beside the floor.

The floor is a program without a queue (`apps/floor.py`), in as many threads, each with a connection
of psycopg: begin, insert, one more insert, which marks that this was done, commit.
"""

from __future__ import annotations

from benchmarks.against_floor import AgainstFloor, compare
from benchmarks.bench import Bench
from benchmarks.rows import Row

__all__ = ["run"]


def run(bench: Bench) -> list[Row]:
    return compare(bench, AgainstFloor("threads", "blocking_settle", "threads", (5, 16), 5_000))
