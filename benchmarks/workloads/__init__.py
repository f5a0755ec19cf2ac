"""What is measured: one module a workload, each with ``run(bench) -> rows``."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from benchmarks.bench import Bench
from benchmarks.rows import Row

__all__ = ["APART", "NAMES", "ROUNDS", "SYSTEMS", "get"]

# Idle before flat, which leaves the server with millions of rows to vacuum.
NAMES = (
    "drain",
    "bulk",
    "single",
    "contention",
    "latency",
    "mixed",
    "payload",
    "idle",
    "flat",
    "many",
    "io",
    "transactions",
    "threads",
    "batch",
    "flow",
    "fleet",
    "sustained",
    "history",
)

# What takes too long for `all` is run by itself, and a report of all keeps its former figures.
APART = ("fleet", "flow", "sustained", "history")
ROUNDS = {"fleet": 1}

# Whom `make bench` compares with whom: all there are where a run is short, else the best.
_BEST = ("pgqueue", "graphile-worker", "pgqueuer")
_FAST = ("pgqueue", "graphile-worker", "pg-boss", "pgqueuer", "oban-py", "chancy")
_LOADS = ("pgqueue", "graphile-worker", "pg-boss", "pgqueuer")
SYSTEMS: dict[str, tuple[str, ...]] = {
    "contention": ("pgqueue", "baseline", "graphile-worker"),
    "latency": ("pgqueue", "graphile-worker"),
    "mixed": _LOADS,
    "payload": ("pgqueue", "baseline", *_LOADS[1:]),
    "flat": _BEST,
    "many": ("pgqueue",),
    "batch": ("pgqueue",),
    "sustained": ("pgqueue",),
    "history": ("pgqueue",),
    "transactions": ("pgqueue",),
    "threads": ("pgqueue",),
    "flow": ("pgqueue", "pgqueuer", "procrastinate", "dbos"),
    "io": _FAST,
    "idle": ("pgqueue", "graphile-worker"),
    "fleet": ("pgqueue", "graphile-worker", "pg-boss", "procrastinate", "pgqueuer"),
}


def get(name: str) -> Callable[[Bench], list[Row]]:
    return import_module(f"benchmarks.workloads.{name}").run
