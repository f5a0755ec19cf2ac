"""A mix of jobs at 70 % of what one worker can do: how long each waits until it starts.

Of twenty jobs, 16 do nothing, 3 wait for 20 ms, and 1 inserts a row in a transaction. In pgqueue
the row commits with the job's completion; in the others it commits alone, in one statement. The
capacity is the rate of the same worker with a backlog of the mix. Then one client enqueues at 70 %
of that, every 5 ms what is due in one call. It shares the cores, which the capacity does not know
of.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.bench import Bench, Run
from benchmarks.fleet import fleet
from benchmarks.rows import Row, percentile, row
from benchmarks.systems.base import Failed, System, call
from benchmarks.watch import Stamp
from benchmarks.window import wait_until_drained, wait_until_ready

__all__ = ["rate_of", "run"]

NAME = "mixed"
_TABLE = "create table public.effect (n bigint)"
_EXTRA = {"BENCH_LOADS": "1"}
_LOAD = 0.7
_WARM_UP = 20
_PIECE = 1000


@dataclass(frozen=True, slots=True)
class Turn:
    capacity: float
    p50: float
    p99: float


def run(bench: Bench) -> list[Row]:
    def turn(system: System) -> Turn:
        capacity = _capacity(bench, system)
        waits = _waits(bench, system, _LOAD * capacity)
        return Turn(capacity, percentile(waits, 0.5), percentile(waits, 0.99))

    rows: list[Row] = []
    for name, turns in bench.in_turn(NAME, bench.doing(NAME), turn).items():
        if not turns:
            continue
        p50, p99 = ("<= 10", "<= 50") if name == "pgqueue" else (None, None)
        load = f"at {_LOAD:.0%} of capacity".replace("%", " %")
        rows += [
            row(NAME, name, "capacity", [turn.capacity for turn in turns], "jobs/s"),
            row(NAME, name, f"enqueue to start p50, {load}", [t.p50 for t in turns], "ms", p50),
            row(NAME, name, f"enqueue to start p99, {load}", [t.p99 for t in turns], "ms", p99),
        ]
    return rows + bench.failed_rows(NAME)


def rate_of(stamps: list[Stamp]) -> float:
    """Starts a second, between the tenth part of the jobs and the last tenth."""
    starts = sorted(stamp.enqueued_ms + stamp.wait_ms for stamp in stamps)
    first, last = len(starts) // 10, len(starts) * 9 // 10
    return 1000 * (last - first) / (starts[last] - starts[first])


def _capacity(bench: Bench, system: System) -> float:
    jobs = bench.count(system, 1.0)
    with bench.run(system, jobs) as run:
        run.database.execute(_TABLE)
        answer = call(system, run.database.dsn, "mixed_backlog", jobs, _PIECE)
        with fleet(system, run.environment | _EXTRA) as running:
            wait_until_drained(run, running)
        return rate_of(_checked(run, answer, 0))


def _waits(bench: Bench, system: System, rate: float) -> list[float]:
    seconds = bench.span(8, 0.5)
    with bench.run(system, int(1.1 * rate * seconds) + 10 * _WARM_UP) as run:
        run.database.execute(_TABLE)
        with fleet(system, run.environment | _EXTRA) as running:
            wait_until_ready(run, running, _WARM_UP)
            answer = call(system, run.database.dsn, "mixed_stream", rate, seconds)
            wait_until_drained(run, running)
        return [stamp.wait_ms for stamp in _checked(run, answer, _WARM_UP)[_WARM_UP:]]


def _checked(run: Run, answer: dict[str, int], before: int) -> list[Stamp]:
    """What has started; raise Failed unless each job did once, and left its row."""
    stamps = run.marks.stamps()
    if len(stamps) != before + answer["sent"]:
        raise Failed(f"sent {before + answer['sent']} jobs, {len(stamps)} ran")
    if (found := run.database.count("select count(*) from public.effect")) != answer["effects"]:
        raise Failed(f"{answer['effects']} jobs insert a row, found {found}")
    return stamps
