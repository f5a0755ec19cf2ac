"""Graphile Worker (Node.js), settings from worker.graphile.org/docs/performance."""

from __future__ import annotations

from benchmarks.systems.node import NodeSystem

__all__ = ["SYSTEM"]

SYSTEM = NodeSystem(
    name="graphile-worker",
    package="graphile-worker",
    about="Node.js; deletes a job when it is done, keeps no history; "
    "a lost worker's jobs wait 4 h; the enqueue notifies in its transaction",
    settings="concurrentJobs 24, maxPoolSize 25, localQueue.size 500, completeJobBatchDelay 0, "
    "failJobBatchDelay 0 (worker.graphile.org/docs/performance); addJobs in one call",
    pace=34_000,  # in drains of 50,000; it is at 25,000 in longer ones, as dead rows gather
    unfinished="select count(*) from graphile_worker._private_jobs",
    knobs={"BENCH_LOCAL_QUEUE": ("500", "1000", "2000"), "BENCH_CONCURRENCY": ("24", "50", "100")},
    kindest={"BENCH_LOCAL_QUEUE": "1000"},
    requires=("graphile-worker@0.18", "node@22"),
)
