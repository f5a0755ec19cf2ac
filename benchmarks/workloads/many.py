"""Many workers, many queues, many priorities."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.fleet import fleet
from benchmarks.rows import Row, median, row
from benchmarks.systems.base import System
from benchmarks.window import Window, drain, measure, wait_until_registered

__all__ = ["run"]

NAME = "many"


def run(bench: Bench) -> list[Row]:
    systems = bench.doing(NAME)
    many, few = bench.size(64, 3), 2 if bench.quick else 4
    queues = bench.size(50, 5)
    listed = tuple(word for n in range(queues) for word in ("--queue", f"queue-{n}"))

    def crowd(system: System, workers: int) -> Window:
        """Idle workers get all jobs in one commit: starting 64 takes longer than their work."""
        jobs = bench.count(system, 4.0)
        with bench.run(system, jobs) as run:
            flags = ("--processes", str(workers))
            with fleet(system, run.environment, flags=flags) as running:
                wait_until_registered(run, running, workers)
                run.bulk("noop", 0, jobs)
                window = measure(run, running, jobs, first=0, processes=1, whole=True, partly=False)
            run.marks.check(0, jobs)
            return window

    def spread(system: System, flags: tuple[str, ...], **extra: int) -> Window:
        jobs = bench.count(system, 2.0)
        with bench.run(system, jobs) as run:
            run.bulk("noop", 0, jobs, **extra)
            return drain(run, jobs, flags=flags)

    turns = {
        f"{few} workers": lambda s: crowd(s, few),
        f"{many} workers": lambda s: crowd(s, many),
        "1 queue": lambda s: spread(s, ()),
        f"{queues} queues": lambda s: spread(s, listed, BENCH_QUEUES=queues),
        "10 priorities": lambda s: spread(s, (), BENCH_PRIORITIES=10),
    }

    def turn(system: System) -> dict[str, float]:
        return {name: one(system).rate for name, one in turns.items()}

    rows: list[Row] = []
    for name, found in bench.in_turn(NAME, systems, turn).items():
        if not found:
            continue
        rates = {figure: [one[figure] for one in found] for figure in turns}
        rows += [row(NAME, name, figure, rates[figure], "jobs/s") for figure in turns]
        for figure, base, target in (
            (f"{many} workers", f"{few} workers", ">= 0.6"),
            (f"{queues} queues", "1 queue", ">= 0.7"),
            ("10 priorities", "1 queue", ">= 0.8"),
        ):
            ratio = median(rates[figure]) / median(rates[base])
            rows.append(row(NAME, name, f"{figure} / {base}", ratio, "x", target))
    return rows + bench.failed_rows(NAME)
