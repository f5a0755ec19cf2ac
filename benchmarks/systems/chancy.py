"""Chancy, settings from its reference of Queue: executor, concurrency, eager_polling."""

from __future__ import annotations

from benchmarks.systems.base import PythonSystem

__all__ = ["SYSTEM"]

SYSTEM = PythonSystem(
    name="chancy",
    package="chancy",
    about="keeps finished jobs until its pruner removes them; "
    "the enqueue notifies in its transaction",
    settings="uvloop, AsyncExecutor, concurrency 1000, eager_polling, polling_interval 1 "
    "(reference of Queue); push_many in batches of 1,000",
    pace=4_000,
    unfinished="select count(*) from chancy_jobs where state not in ('succeeded', 'failed')",
    knobs={"BENCH_CONCURRENCY": ("1000", "250", "500", "2000")},
    requires=("chancy==0.26.*", "uvloop", "psycopg[binary]"),
)
