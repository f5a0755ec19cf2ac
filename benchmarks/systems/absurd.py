"""Absurd, its Python client."""

from __future__ import annotations

from benchmarks.systems.base import PythonSystem

__all__ = ["SYSTEM"]

SYSTEM = PythonSystem(
    name="absurd",
    package="absurd-sdk",
    about="durable workflows; keeps finished tasks for 30 days; its latency is a poll of 10 ms",
    settings="uvloop, concurrency and batch 100, poll_interval 0.01; no bulk call: 8 connections "
    "that spawn at once",
    pace=2_000,
    unfinished="select count(*) from absurd.t_default where state in "
    "('pending', 'running', 'sleeping')",
    knobs={"BENCH_CONCURRENCY": ("100", "50", "200")},
    requires=("absurd-sdk==0.5.*", "absurdctl==0.5.*", "uvloop"),
)
