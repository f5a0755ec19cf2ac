"""Jobs that wait: 50 ms each, 1,000 at a time. And no-op jobs of tasks that run in threads."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.kindest import AS_IT_COMES, Manner, manners
from benchmarks.rows import Row, row
from benchmarks.systems.base import System
from benchmarks.window import drain

__all__ = ["run"]

NAME = "io"
_CONCURRENCY = 1000
_JOB_SECONDS = 0.05


def run(bench: Bench) -> list[Row]:
    systems = bench.doing(NAME)
    concurrency = bench.size(_CONCURRENCY, 100)
    ideal = concurrency / _JOB_SECONDS

    def one(system: System, manner: Manner) -> float:
        jobs = bench.size(min(20_000, 3 * system.pace), 400)
        flags = ("--concurrency", str(concurrency)) if system.name == "pgqueue" else ()
        with bench.run(system, jobs) as run:
            run.bulk("sleep", 0, jobs)
            manner.prepare(run)
            settings = manner.settings(system) | {"BENCH_CONCURRENCY": str(concurrency)}
            return drain(run, jobs, flags=flags, whole=True, settings=settings).rate

    def waiting(system: System) -> dict[Manner, float]:
        return {manner: one(system, manner) for manner in manners(bench, system)}

    def threads(system: System) -> float:
        jobs = bench.size(20_000, 200)
        with bench.run(system, jobs) as run:
            run.bulk("blocking", 0, jobs)
            return drain(run, jobs).rate

    rows: list[Row] = []
    what = f"50 ms of sleep, concurrency {concurrency:,}"
    for name, found in bench.in_turn(NAME, systems, waiting).items():
        for manner in found[0] if found else ():
            rates = [turn[manner] for turn in found]
            rows.append(row(NAME, name, what + manner.suffix, rates, "jobs/s"))
            if manner is AS_IT_COMES:
                shares = [rate / ideal for rate in rates]
                target = ">= 0.85" if name == "pgqueue" else None
                rows.append(row(NAME, name, f"{what} / {ideal:,.0f}/s", shares, "x", target))
    ours = [system for system in systems if system.name == "pgqueue"]
    for name, rates in bench.in_turn(NAME, ours, threads).items():
        if rates:
            rows.append(row(NAME, name, "no-op in threads", rates, "jobs/s", ">= 5000"))
    return rows + bench.failed_rows(NAME)
