"""Awa from its wheel, whose engine is in Rust."""

from __future__ import annotations

from benchmarks.systems.base import PythonSystem

__all__ = ["SYSTEM"]

SYSTEM = PythonSystem(
    name="awa-pg",
    package="awa-pg",
    about="the engine is in Rust, the handlers are in Python; keeps finished jobs for a while; "
    "heartbeats",
    settings="500 workers on one queue, asyncio, queue storage (its default); enqueue_many_copy in "
    "batches of 10,000",
    pace=8_000,
    # Not from the view awa.jobs, which takes 40 s to count 12,000.
    unfinished="select (select count(*) from awa.ready_entries)"
    " - (select coalesce(sum(completed_count), 0) from awa.receipt_completion_batches)"
    " - (select count(*) from awa.done_entries)",
    knobs={"BENCH_CONCURRENCY": ("500", "100", "1000")},
    requires=("awa-pg==0.6.*",),
)
