"""Jobs whose arguments are 100 B, 2 kB and 100 kB of random letters: enqueued in bulk, and drained.

Random letters do not compress: on disk and in the WAL each job is as large as it says. What is
enqueued is at most 200 MB, in calls of at most 16 MB.
"""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.rows import Row, median, row
from benchmarks.systems.base import Failed, System
from benchmarks.window import Window, drain

__all__ = ["run"]

NAME = "payload"
_SIZES = {100: "100 B", 2000: "2 kB", 100_000: "100 kB"}
_SECONDS = 1.5
_MOST_BYTES = 200_000_000
_CALL_BYTES = 16_000_000
_TARGETS = {100: ">= 1.5", 2000: ">= 1.2", 100_000: ">= 1"}


def run(bench: Bench) -> list[Row]:
    systems = bench.doing(NAME)

    def turn(size: int, system: System) -> tuple[float, Window]:
        jobs = min(bench.count(system, _SECONDS), _MOST_BYTES // size)
        piece = _CALL_BYTES // size
        with bench.run(system, jobs) as run:
            seconds = sum(
                run.bulk("carry", first, min(piece, jobs - first), BENCH_BYTES=size)
                for first in range(0, jobs, piece)
            )
            if (found := run.unfinished()) != jobs:
                raise Failed(f"enqueued {jobs} jobs, found {found}")
            return jobs / seconds, drain(run, jobs, BENCH_BYTES=size, BENCH_LOADS=1)

    rows: list[Row] = []
    for size, named in _SIZES.items():
        results = bench.in_turn(NAME, systems, lambda system, size=size: turn(size, system))
        rates = {name: [window.rate for _, window in found] for name, found in results.items()}
        for name, found in results.items():
            if found:
                rows += _of_system(name, named, found)
        rows += _to_best(rates, named, _TARGETS[size])
    return rows + bench.failed_rows(NAME)


def _of_system(name: str, size: str, found: list[tuple[float, Window]]) -> list[Row]:
    windows = [window for _, window in found]
    cpu = [1e6 * (w.worker_cpu + w.server_cpu) / w.jobs for w in windows]
    wal = [w.wal / w.jobs for w in windows]
    note = f"{windows[0].jobs:,} jobs"
    return [
        row(NAME, name, f"bulk enqueue, {size}", [rate for rate, _ in found], "jobs/s"),
        row(NAME, name, f"drain, {size}", [w.rate for w in windows], "jobs/s", note=note),
        row(NAME, name, f"worker + server CPU per job, {size}", cpu, "µs"),
        row(NAME, name, f"WAL per job of the drain, {size}", wal, "B"),
    ]


def _to_best(rates: dict[str, list[float]], size: str, target: str) -> list[Row]:
    """pgqueue's drain to that of the best peer; the floor is no peer."""
    mine = rates.get("pgqueue")
    if not mine:
        return []
    peers = {n: median(v) for n, v in rates.items() if v and n not in ("pgqueue", "baseline")}
    best = max(peers, key=lambda name: peers[name], default=None)
    ratio = median(mine) / peers[best] if best else None
    note = best or "no peer was measured"
    return [row(NAME, "pgqueue", f"drain, {size} / best peer", ratio, "x", target, note)]
