"""100,000 jobs enqueued by the fastest call there is, the making of the jobs included."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.rows import Row, median, row
from benchmarks.systems.base import Failed, System

__all__ = ["run"]

NAME = "bulk"


def run(bench: Bench) -> list[Row]:
    systems = bench.doing(NAME)
    sizes: dict[str, int] = {}

    def turn(system: System) -> float:
        # Who has no bulk call gets fewer jobs: its rate does not depend on how many.
        fast = system.pace >= 5000 or system.name in ("procrastinate", "rq")
        full = bench.jobs or (100_000 if fast else 3000)
        sizes[system.name] = jobs = bench.size(full, min(full, 1000))
        with bench.run(system, jobs) as run:
            seconds = run.bulk("noop", 0, jobs)
            if (found := run.unfinished()) != jobs:
                raise Failed(f"enqueued {jobs} jobs, found {found}")
            return jobs / seconds

    rates = bench.in_turn(NAME, systems, turn)
    rows = [
        row(NAME, name, "bulk enqueue", found, "jobs/s", note=f"{sizes[name]:,} jobs")
        for name, found in rates.items()
        if found
    ]
    peers = {n: median(v) for n, v in rates.items() if v and n not in ("pgqueue", "baseline")}
    if mine := rates.get("pgqueue"):
        best = max(peers, key=lambda name: peers[name], default=None)
        ratio = median(mine) / peers[best] if best else None
        note = best or "no peer was measured"
        rows.append(row(NAME, "pgqueue", "bulk enqueue / best peer", ratio, "x", ">= 1.5", note))
    return rows + bench.failed_rows(NAME)
