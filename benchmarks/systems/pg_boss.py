"""pg-boss (Node.js), settings from its reference of work() and of queues."""

from __future__ import annotations

from benchmarks.systems.node import NodeSystem

__all__ = ["SYSTEM"]

SYSTEM = NodeSystem(
    name="pg-boss",
    package="pg-boss",
    about="Node.js; keeps completed jobs for 7 days; a batch completes as a "
    "whole; the enqueue of timed jobs notifies, that of others does not",
    settings="two workers a queue, batchSize 1000, burstWhenBatchFull, poll of 0.5 s (its least), "
    "useListenNotify for the queues of timed jobs; insert() in one call",
    pace=30_000,
    unfinished="select count(*) from pgboss.job where state < 'completed'",
    knobs={"BENCH_BATCH": ("1000", "500", "2000", "4000"), "BENCH_POLLERS": ("2", "1", "4")},
    requires=("pg-boss@12", "node@22"),
    workloads=(
        "drain",
        "bulk",
        "single",
        "contention",
        "latency",
        "mixed",
        "payload",
        "io",
        "idle",
        "fleet",
    ),
)
