"""No-op jobs that are there already, run to the end by one worker, then by two.

Each system as it comes, on a table that was filled a moment ago, and at its kindest: after VACUUM
ANALYZE, and with the settings that a sweep found best (`python -m benchmarks.sweep`). A ratio is of
pgqueue as it comes; one to a peer at its kindest is to the better of the peer's two figures.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.bench import Bench
from benchmarks.kindest import AS_IT_COMES, Manner, manners, ratio_to_peer
from benchmarks.rows import Row, row
from benchmarks.systems.base import System
from benchmarks.window import Window, drain

__all__ = ["run"]

NAME = "drain"
_SECONDS = 1.5
_SLOW = 1000  # jobs/s; below that one worker is measured, as it comes
_REASON = "transactions, as pg_stat_database counts them: the wheel has no pg_stat_statements"


def run(bench: Bench) -> list[Row]:
    systems = bench.doing(NAME)
    quick = {system.name: system.pace >= _SLOW or bench.quick for system in systems}

    def turn(workers: int) -> dict[str, list[dict[Manner, Window]]]:
        def one(system: System, manner: Manner) -> Window:
            jobs = bench.count(system, _SECONDS * (1.5 if workers > 1 else 1))
            with bench.run(system, jobs) as run:
                run.bulk("noop", 0, jobs)
                manner.prepare(run)
                return drain(run, jobs, workers=workers, settings=manner.settings(system))

        def both(system: System) -> dict[Manner, Window]:
            known = manners(bench, system) if quick[system.name] else (AS_IT_COMES,)
            return {manner: one(system, manner) for manner in known}

        able = [system for system in systems if workers == 1 or quick[system.name]]
        return bench.in_turn(NAME, able, both)

    alone, pair = turn(1), turn(2)
    rows: list[Row] = []
    for system in systems:
        if found := alone.get(system.name):
            for manner in found[0]:
                rows += _one_worker(system.name, [turn[manner] for turn in found], manner)
        if found := pair.get(system.name):
            for manner in found[0]:
                rates = [turn[manner].rate for turn in found]
                figure = f"2 workers{manner.suffix}"
                rows.append(row(NAME, system.name, figure, rates, "jobs/s"))
    return rows + _ratios(rows) + bench.failed_rows(NAME)


def _one_worker(name: str, windows: Sequence[Window], manner: Manner) -> list[Row]:
    aimed = name == "pgqueue" and manner is AS_IT_COMES

    def per_job(
        figure: str, unit: str, values: list[float], target: str = "", note: str = ""
    ) -> Row:
        shares = [value / window.jobs for value, window in zip(values, windows, strict=True)]
        figure += manner.suffix
        return row(NAME, name, figure, shares, unit, (target or None) if aimed else None, note)

    worker = [window.worker_cpu * 1e6 for window in windows]
    server = [window.server_cpu * 1e6 for window in windows]
    both = [a + b for a, b in zip(worker, server, strict=True)]
    jobs = f"{windows[0].jobs:,} jobs"
    rate = row(
        NAME, name, f"1 worker{manner.suffix}", [w.rate for w in windows], "jobs/s", note=jobs
    )
    total = per_job("worker + server CPU per job", "µs", both, "<= 11")
    if manner is not AS_IT_COMES:
        return [rate, total]
    rows = [rate, per_job("worker CPU per job", "µs", worker)]
    rows += [per_job("server CPU per job", "µs", server), total]
    statements = [float(w.transactions) for w in windows]
    if any(w.wal for w in windows):
        rows.append(per_job("WAL per job", "B", [float(w.wal) for w in windows], "<= 600"))
        rows.append(per_job("transactions per job", "", statements, note=_REASON))
    else:
        rows.append(per_job("Redis commands per job", "", statements))
    return rows


def _ratios(rows: Sequence[Row]) -> list[Row]:
    return [
        *ratio_to_peer(rows, "1 worker", "graphile-worker", ">= 1.3"),
        *ratio_to_peer(rows, "1 worker", "graphile-worker", ">= 2", kindest=True),
        *ratio_to_peer(rows, "1 worker", "pgqueuer", ">= 3.5"),
        *ratio_to_peer(rows, "1 worker", "pgqueuer", ">= 3.5", kindest=True),
        *ratio_to_peer(rows, "2 workers", "graphile-worker", ">= 1.15"),
        *ratio_to_peer(rows, "2 workers", "graphile-worker", ">= 1.6", kindest=True),
    ]
