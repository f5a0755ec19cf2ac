"""DBOS Transact, its queues."""

from __future__ import annotations

from benchmarks.systems.base import PythonSystem

__all__ = ["SYSTEM"]

SYSTEM = PythonSystem(
    name="dbos",
    package="dbos",
    about="durable workflows; keeps each with its result; its latency is a poll",
    settings="uvloop, worker_concurrency 500, polling_interval_sec 0.01 (its guide on queues); no "
    "bulk call: 16 enqueues under way at once; "
    "for flows a partition for each key, partition_concurrency 1 and no other limit",
    pace=300,
    unfinished="select count(*) from dbos.workflow_status where status in ('ENQUEUED', 'PENDING')",
    workloads=("drain", "bulk", "single", "latency", "io", "idle", "flow"),
    knobs={"BENCH_CONCURRENCY": ("500", "100", "1000")},
    requires=("dbos==3.*", "uvloop"),
)
