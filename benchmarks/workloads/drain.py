"""No-op jobs that are there already, run to the end by one worker, then by two."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.rows import Row, median, row
from benchmarks.systems.base import System
from benchmarks.window import Window, drain

__all__ = ["run"]

NAME = "drain"
_SECONDS = 1.5
_SLOW = 1000  # jobs/s; below that two workers are not measured
_REASON = "transactions, as pg_stat_database counts them: the wheel has no pg_stat_statements"


def run(bench: Bench) -> list[Row]:
    systems = bench.doing(NAME)

    def turn(workers: int) -> dict[str, list[Window]]:
        def one(system: System) -> Window:
            jobs = bench.count(system, _SECONDS * (1.5 if workers > 1 else 1))
            with bench.run(system, jobs) as run:
                run.bulk("noop", 0, jobs)
                return drain(run, jobs, workers=workers)

        able = [s for s in systems if workers == 1 or s.pace >= _SLOW or bench.quick]
        return bench.in_turn(NAME, able, one)

    alone, pair = turn(1), turn(2)
    rows: list[Row] = []
    for system in systems:
        mine = system.name == "pgqueue"
        if windows := alone.get(system.name):
            rows += _one_worker(system.name, windows, mine=mine)
        if windows := pair.get(system.name):
            rates = [window.rate for window in windows]
            rows.append(row(NAME, system.name, "2 workers", rates, "jobs/s"))
    rows += _ratio(alone, "graphile-worker", "1 worker", ">= 1.3")
    rows += _ratio(alone, "pgqueuer", "1 worker", ">= 3.5")
    rows += _ratio(pair, "graphile-worker", "2 workers", ">= 1.15")
    return rows + bench.failed_rows(NAME)


def _one_worker(name: str, windows: list[Window], *, mine: bool) -> list[Row]:
    def per_job(
        figure: str, unit: str, values: list[float], target: str = "", note: str = ""
    ) -> Row:
        shares = [value / window.jobs for value, window in zip(values, windows, strict=True)]
        return row(NAME, name, figure, shares, unit, (target or None) if mine else None, note)

    worker = [window.worker_cpu * 1e6 for window in windows]
    server = [window.server_cpu * 1e6 for window in windows]
    both = [a + b for a, b in zip(worker, server, strict=True)]
    jobs = f"{windows[0].jobs:,} jobs"
    rows = [
        row(NAME, name, "1 worker", [w.rate for w in windows], "jobs/s", note=jobs),
        per_job("worker CPU per job", "µs", worker),
        per_job("server CPU per job", "µs", server),
        per_job("worker + server CPU per job", "µs", both, "<= 22"),
    ]
    statements = [float(w.transactions) for w in windows]
    if any(w.wal for w in windows):
        rows.append(per_job("WAL per job", "B", [float(w.wal) for w in windows], "<= 600"))
        rows.append(per_job("transactions per job", "", statements, note=_REASON))
    else:
        rows.append(per_job("Redis commands per job", "", statements))
    return rows


def _ratio(results: dict[str, list[Window]], peer: str, figure: str, target: str) -> list[Row]:
    mine, theirs = results.get("pgqueue"), results.get(peer)
    if not mine:
        return []
    name = f"{figure} / {peer}"
    if not theirs:
        return [row(NAME, "pgqueue", name, None, "x", target, f"{peer} was not measured")]
    ratio = median([w.rate for w in mine]) / median([w.rate for w in theirs])
    return [row(NAME, "pgqueue", name, ratio, "x", target)]
