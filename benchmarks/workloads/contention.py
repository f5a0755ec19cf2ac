"""32 clients that enqueue one row a transaction, while a worker is busy with a backlog of jobs.

The worker runs jobs of 50 ms, so that it is as busy beside the bare INSERTs as beside our own.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.bench import Bench, Run
from benchmarks.fleet import fleet
from benchmarks.rows import Row, median, row
from benchmarks.systems import get
from benchmarks.systems.base import Failed, System, call
from benchmarks.window import wait_until_begun

__all__ = ["run"]

NAME = "contention"
_PROCESSES = 4
_CLIENTS = 8  # in each process
_START_SECONDS = 2.5
_WIDTH = {"BENCH_CONCURRENCY": "100"}  # ours by default


def run(bench: Bench) -> list[Row]:
    systems = bench.doing(NAME)
    seconds = bench.span(3.0, 0.5)
    backlog = bench.size(25_000, 5000)

    def turn(system: System) -> float:
        # Bare INSERTs go into a table beside pgqueue's, whose worker is as busy as for its own.
        busy = get("pgqueue") if system.name == "baseline" else system
        room = backlog + _PROCESSES * int(20_000 * seconds)
        with bench.run(system, room) as run:
            worker = Run(busy, run.database, run.marks, run.settle)
            worker.bulk("sleep", 0, backlog)
            with fleet(busy, worker.environment | _WIDTH) as running:
                wait_until_begun(worker, running)
                sent, took, before = _press(run, backlog, seconds)
                running.check()
                ran_out = run.marks.executed(0, backlog) == backlog
            run.database.wait_until_left()
            _check(run, worker, backlog, sent + before)
            if ran_out and not bench.quick:
                raise Failed("the worker had no backlog left and was idle")
            return sent / took

    rates = bench.in_turn(NAME, systems, turn)
    rows = [
        row(NAME, name, "32 clients, one row each", found, "jobs/s")
        for name, found in rates.items()
        if found
    ]
    if mine := rates.get("pgqueue"):
        bare = rates.get("baseline")
        ratio = median(mine) / median(bare) if bare else None
        note = "" if bare else "the baseline was not measured"
        rows.append(row(NAME, "pgqueue", "32 clients / bare INSERT", ratio, "x", ">= 0.85", note))
    return rows + bench.failed_rows(NAME)


def _press(run: Run, first: int, seconds: float) -> tuple[int, float, int]:
    """Let the clients press; return the jobs sent, the seconds it took, and the jobs before."""
    start = time.monotonic() + _START_SECONDS

    def one(number: int) -> tuple[int, float, int]:
        answer = call(
            run.system,
            run.database.dsn,
            "clients",
            _CLIENTS,
            seconds,
            first + number * int(20_000 * seconds),
            BENCH_START=start,
        )
        return answer["sent"], answer["seconds"], answer["before"]

    with ThreadPoolExecutor(_PROCESSES) as pool:
        answers = list(pool.map(one, range(_PROCESSES)))
    sent, took, before = zip(*answers, strict=True)
    return sum(sent), max(took), sum(before)


def _check(run: Run, worker: Run, backlog: int, sent: int) -> None:
    """What was enqueued has run or is still there."""
    if run.system is not worker.system:
        if (found := run.unfinished()) != sent:
            raise Failed(f"inserted {sent} rows, found {found}")
        return
    ran = run.marks.executed()
    left = run.unfinished()
    if ran + left < backlog + sent:
        raise Failed(f"enqueued {backlog + sent} jobs, {ran} ran and {left} are left")
