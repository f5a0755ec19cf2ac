"""32 clients that enqueue one row a transaction, while a worker is busy with a backlog of jobs.

The worker runs jobs of 50 ms, so that it is as busy beside the bare INSERTs as beside our own. What
ours are of them is measured apart: both take turns of a quarter of a second in the same processes,
beside the same worker. A machine's speed and its disk's change by half within seconds, and two runs
one after another would compare that.
"""

from __future__ import annotations

from benchmarks.bench import Bench, Run
from benchmarks.fleet import fleet
from benchmarks.press import press, room_for
from benchmarks.rows import Row, row
from benchmarks.systems import get
from benchmarks.systems.base import Failed, System
from benchmarks.window import wait_until_begun

__all__ = ["run"]

NAME = "contention"
_PROCESSES = 4
_CLIENTS = 8  # in each process
_WIDTH = {"BENCH_CONCURRENCY": "100"}  # ours by default


def run(bench: Bench) -> list[Row]:
    systems = bench.doing(NAME)
    seconds = bench.span(3.0, 0.5)
    backlog = bench.size(25_000, 5000)

    def turn(system: System) -> float:
        # Bare INSERTs go into a table beside pgqueue's, whose worker is as busy as for its own.
        busy = get("pgqueue") if system.name == "baseline" else system
        room = backlog + room_for(_PROCESSES, seconds)
        with bench.run(system, room) as run:
            worker = Run(busy, run.database, run.marks, run.settle)
            worker.bulk("sleep", 0, backlog)
            with fleet(busy, worker.environment | _WIDTH) as running:
                wait_until_begun(worker, running)
                done = press(run, _PROCESSES, _CLIENTS, backlog, seconds)
                running.check()
                ran_out = run.marks.executed(0, backlog) == backlog
            run.database.wait_until_left()
            _check(run, worker, backlog, done.sent + done.before)
            if ran_out and not bench.quick:
                raise Failed("the worker had no backlog left and was idle")
            return done.rate

    def paired(system: System) -> float:
        spans = 8 * seconds / 3
        with bench.run(system, 2 * backlog + room_for(_PROCESSES, spans)) as run:
            run.bulk("sleep", 0, 2 * backlog)
            with fleet(system, run.environment | _WIDTH) as running:
                wait_until_begun(run, running)
                each = press(run, _PROCESSES, _CLIENTS, 2 * backlog, spans, "bare", "async").each
                running.check()
            run.database.wait_until_left()
            found = run.database.count("select count(*) from bare.job")
            if (wanted := each["bare"] + _PROCESSES * _CLIENTS * 5) != found:
                raise Failed(f"inserted {wanted} rows, found {found}")
            return each["async"] / each["bare"]

    rates = bench.in_turn(NAME, systems, turn)
    rows = [
        row(NAME, name, "32 clients, one row each", found, "jobs/s")
        for name, found in rates.items()
        if found
    ]
    ours = [system for system in systems if system.name == "pgqueue"]
    for name, ratios in bench.in_turn(NAME, ours, paired).items():
        if ratios:
            figure = "32 clients / bare INSERT"
            rows.append(row(NAME, name, figure, ratios, "x", ">= 0.85", "in turns of 0.25 s"))
    return rows + bench.failed_rows(NAME)


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
