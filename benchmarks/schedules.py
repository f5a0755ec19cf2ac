"""``python -m benchmarks.schedules``: many schedules, many workers, and some of these are killed.

Each schedule comes once a minute, and their slots are spread over it. One worker after the other is
killed with SIGKILL meanwhile; its supervisor starts another. Afterwards the rows say whether each
slot has one job, and how late each was made: from the slot to the insert, by the server's clock.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.harness.dispositions import let_children_heed
from tests.harness.processes import Program

from benchmarks.bench import say
from benchmarks.cluster import Database, own_server
from benchmarks.procs import tree_cpu
from benchmarks.rows import Row, percentile, row
from benchmarks.systems.base import APPS, Failed
from benchmarks.systems.pgqueue import SYSTEM
from benchmarks.table import terminal
from pgqueue.client import Client

NAME = "schedules"
_PROCESSES = 10  # of a supervisor
_START_SECONDS = 180.0
_STOP_SECONDS = 60.0
_BEFORE = 12.0  # until the first slot: each worker has heard of it by then

_MAKE = """
insert into pgqueue.schedule (name, next_at, changed)
select 's' || n, first_at, jsonb_build_object(
           'task', 'tick', 'args', '{{}}'::jsonb, 'misfire', 'all',
           'when', jsonb_build_object('every', {period}, 'anchor', first_at))
from (select n, clock_timestamp() + make_interval(
                    secs => {before} + {period}::float8 * n / {schedules}) as first_at
      from generate_series(1, {schedules}) as n) as spread
"""
# A schedule whose jobs are as many as the periods from its anchor to its next slot has missed none.
_COUNT = """
with made as (
    select metadata ->> 'schedule' as name, count(*) as jobs,
           count(distinct metadata ->> 'slot') as slots
    from pgqueue.jobs where metadata ? 'schedule' group by 1
),
wanted as (
    select name, round(extract(epoch from next_at - (settings #>> '{when,anchor}')::timestamptz)
                       / (settings #>> '{when,every}')::float8)::bigint as slots
    from pgqueue.schedule
)
select coalesce(sum(wanted.slots), 0), coalesce(sum(made.slots), 0),
       coalesce(sum(made.jobs - made.slots), 0),
       coalesce(sum(greatest(wanted.slots - coalesce(made.slots, 0), 0)), 0)
from wanted left join made using (name)
"""
_LATE = """
select extract(epoch from enqueued_at - (metadata ->> 'slot')::timestamptz)::float8 * 1000
from pgqueue.jobs where metadata ? 'schedule'
"""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nobody is left behind
    if options.quick:
        options.schedules, options.workers, options.minutes = 40, 3, 0.15
        options.kill_every, options.period = 2.0, 2
    try:
        with own_server() as server, server.database(NAME, _install) as database:
            rows = _measured(database, options)
    except Failed as exc:
        print(f"no figure: {exc}", file=sys.stderr)
        return 1
    print(terminal(rows))
    return 0 if all(one.ok is not False for one in rows) else 1


def _install(dsn: str) -> None:
    with Client(dsn) as client:
        client.migrate()


def _measured(database: Database, options: argparse.Namespace) -> list[Row]:
    rng = random.Random(options.seed)
    kills = 0
    with _workers(database, options.workers) as supervisors:
        say(f"{options.workers} workers are there; {options.schedules} schedules are made")
        database.execute(_MAKE.format(
            schedules=options.schedules, period=options.period, before=_BEFORE
        ))  # fmt: skip
        time.sleep(_BEFORE)
        cpu, server_cpu = tree_cpu([s.pid for s in supervisors]), database.server.cpu
        end = time.monotonic() + 60 * options.minutes
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, options.kill_every * rng.uniform(0.5, 1.5)))
            kills += _kill_one(database, rng)
            _check(supervisors)
        cpu = tree_cpu([s.pid for s in supervisors]) - cpu
        server_cpu = database.server.cpu - server_cpu
    return [
        row(NAME, SYSTEM.name, "workers killed", kills, "kills", ">= 1"),
        row(NAME, SYSTEM.name, "CPU of the workers", cpu, "s"),
        row(NAME, SYSTEM.name, "CPU of the server", server_cpu, "s"),
        *_figures(database, quick=options.quick),
    ]


def _figures(database: Database, *, quick: bool) -> list[Row]:
    with database.connect() as connection:
        counted = connection.execute(_COUNT.encode()).fetchone()
        late = [found[0] for found in connection.execute(_LATE.encode())]
    assert counted is not None
    wanted, slots, doubled, missing = map(int, counted)
    target = None if quick else "<= 250"  # quick: does it work?
    made = (
        ("slots that came", wanted, "slots", ">= 1"),
        ("slots with a job", slots, "slots", None),
        ("jobs beyond one a slot", doubled, "jobs", "<= 0"),
        ("slots without a job", missing, "slots", "<= 0"),
        ("jobs before their slot", sum(ms < 0 for ms in late), "jobs", "<= 0"),
        ("late, median", percentile(late, 0.5), "ms", None),
        ("late, p99", percentile(late, 0.99), "ms", target),
        ("late, worst", max(late, default=float("nan")), "ms", None),
    )
    return [row(NAME, SYSTEM.name, what, value, unit, aim) for what, value, unit, aim in made]


@contextmanager
def _workers(database: Database, number: int) -> Iterator[list[Program]]:
    """So many worker processes, in supervisors of ten; they have stopped when this returns."""
    with tempfile.TemporaryDirectory(prefix="pgqueue-bench-log-") as directory:
        sizes = [min(_PROCESSES, number - n) for n in range(0, number, _PROCESSES)]
        supervisors = [_supervisor(database, size, Path(directory, "log")) for size in sizes]
        try:
            deadline = time.monotonic() + _START_SECONDS
            while database.count("select count(*) from pgqueue.worker") < number:
                _check(supervisors)
                if time.monotonic() > deadline:
                    raise Failed(f"{number} workers do not start: {supervisors[0].log()[-2000:]}")
                time.sleep(0.1)
            yield supervisors
            for supervisor in supervisors:
                supervisor.send(signal.SIGTERM)
            for supervisor in supervisors:
                supervisor.wait(_STOP_SECONDS)
        finally:
            for supervisor in supervisors:
                supervisor.clear_away()


def _supervisor(database: Database, processes: int, log: Path) -> Program:
    program = str(Path(sys.executable).parent / "pgqueue")
    command = [program, "worker", "scheduled:app", "--processes", str(processes)]
    return Program(
        command, log, cwd=APPS, env=SYSTEM.environment(database.dsn), inherit=False
    )  # fmt: skip


def _check(supervisors: Sequence[Program]) -> None:
    for supervisor in supervisors:
        if supervisor.code is not None:
            raise Failed(f"a supervisor ended: {supervisor.log()[-2000:]}")


def _kill_one(database: Database, rng: random.Random) -> int:
    """Kill a worker at random; one that watches for slots is as likely as any other."""
    with database.connect() as connection:
        pids = [found[0] for found in connection.execute("select pid from pgqueue.worker")]
    if not pids:
        return 0
    try:
        os.kill(rng.choice(pids), signal.SIGKILL)
    except ProcessLookupError:  # it was killed before, and nobody has noticed yet
        return 0
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.schedules", description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000, help="how many [%(default)s]")
    parser.add_argument("--workers", type=int, default=50, help="how many [%(default)s]")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long [%(default)s]")
    parser.add_argument("--period", type=int, default=60, help="seconds from slot to slot [60]")
    parser.add_argument(
        "--kill-every", type=float, default=10.0, help="a kill each so many seconds [%(default)s]"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the kills [1]")
    parser.add_argument("--quick", action="store_true", help="few of all, and no figure to reach")
    return parser


if __name__ == "__main__":
    let_children_heed()
    sys.exit(main())
