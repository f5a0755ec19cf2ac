"""The same drain beside a million pending jobs, a million scheduled ones, ten million finished."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.bench import Bench, Run, say
from benchmarks.rows import Row, median, row
from benchmarks.systems.base import Failed, System
from benchmarks.window import drain

__all__ = ["run"]

NAME = "flat"
_MEASURED = ("pgqueue", "graphile-worker")

# The history that so many jobs leave, written without running them.
_HISTORY = """\
insert into pgqueue.history
    (id, finished_at, run_at, enqueued_at, claimed_at, worker_id, claim_token, attempt,
     max_attempts, priority, crash_count, state, queue, task, args)
select -n, now(), now() - interval '1 hour', now() - interval '1 hour', now(), 1, n, 1, 25, 5, 0,
       'completed', 'default', 'noop', '{{"n": 1}}'
from generate_series(1, {count}) as n"""


@dataclass
class Case:
    """A database with ballast; its jobs are numbered on from round to round."""

    name: str
    run: Run
    waiting: int
    enqueued: int

    def rate(self, jobs: int) -> float:
        """Drain so many of the jobs that are ready."""
        before = self.run.marks.executed()
        self.run.bulk("noop", self.enqueued, jobs)
        self.enqueued += jobs
        window = drain(self.run, before + jobs, partly=True, already=before)
        ran = self.run.marks.executed()
        left = self.run.unfinished()
        if ran + left != self.enqueued:
            raise Failed(f"{self.enqueued} jobs enqueued, {ran} ran and {left} are left")
        return window.rate


def run(bench: Bench) -> list[Row]:
    rows: list[Row] = []
    for system in bench.doing(NAME):
        if system.name not in _MEASURED and not bench.quick:
            continue
        key = f"{NAME}/{system.name}"
        if key in bench.failures:
            continue
        try:
            rows += _measure(bench, system)
        except Failed as exc:
            bench.failures[key] = str(exc)
            say(f"  failed: {exc}")
    return rows


def _measure(bench: Bench, system: System) -> list[Row]:
    mine = system.name == "pgqueue"
    million = bench.size(1_000_000, 1000)
    jobs = bench.count(system, 1.7)
    room = million + jobs * (bench.rounds + 1)

    def pending(run: Run) -> int:
        run.bulk("noop", 0, million)
        return million

    def scheduled(run: Run) -> int:
        run.bulk("noop", 0, million, BENCH_DELAY=86400)
        return 0

    def history(run: Run) -> int:
        run.database.execute(_HISTORY.format(count=10 * million))
        run.database.execute("vacuum analyze pgqueue.history")
        return 0

    def empty(_: Run) -> int:
        return 0

    fill: dict[str, Callable[[Run], int]] = {"empty": empty, "1,000,000 pending": pending}
    if mine:
        fill |= {"1,000,000 scheduled": scheduled, "10,000,000 in history": history}
    rates: dict[str, list[float]] = {name: [] for name in fill}
    with ExitStack() as stack:
        cases: list[Case] = []
        for name, prepare in fill.items():
            say(f"flat: {system.name}: {name}")
            made = stack.enter_context(bench.run(system, room))
            waiting = prepare(made)
            cases.append(Case(name, made, waiting, waiting))
        bench.server.checkpoint()
        for number in range(bench.rounds):
            for case in cases:
                say(f"flat {number + 1}/{bench.rounds}: {system.name}, {case.name}")
                rates[case.name].append(case.rate(jobs))
    note = "" if not bench.quick else f"{million:,} in place of 1,000,000"
    rows = [
        row(NAME, system.name, f"drain beside {name}", found, "jobs/s", note=note)
        for name, found in rates.items()
    ]
    base = median(rates["empty"])
    for name, found in rates.items():
        if name != "empty":
            target = ">= 0.9" if mine else None
            ratio = median(found) / base
            rows.append(row(NAME, system.name, f"drain beside {name} / empty", ratio, "x", target))
    return rows
