"""PgQueuer, settings from its guide on performance tuning."""

from __future__ import annotations

from benchmarks.systems.base import PythonSystem

__all__ = ["SYSTEM"]

SYSTEM = PythonSystem(
    name="pgqueuer",
    package="pgqueuer",
    about="deletes a job from its queue and logs it in a table of its own; heartbeats a job; the "
    "enqueue notifies in its transaction, by a trigger",
    settings="asyncpg, uvloop, batch_size 500, one connection for the worker, recommended "
    "autovacuum settings, durable tables (its guide on performance tuning); enqueue by lists; "
    "for flows an entrypoint for each key, concurrency_limit 1",
    pace=15_000,
    unfinished="select count(*) from pgqueuer",
    knobs={"BENCH_BATCH": ("500", "250", "1000", "2000")},
    requires=("pgqueuer[asyncpg]==1.6.*", "uvloop"),
    workloads=(
        "drain",
        "bulk",
        "single",
        "contention",
        "latency",
        "mixed",
        "payload",
        "flat",
        "io",
        "idle",
        "fleet",
        "flow",
    ),
)
