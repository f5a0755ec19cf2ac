"""A measured stretch of work: from when all workers run jobs until all jobs are recorded."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from benchmarks.bench import Run
from benchmarks.fleet import Fleet, fleet
from benchmarks.systems.base import Failed

__all__ = [
    "Window",
    "drain",
    "measure",
    "wait_until_begun",
    "wait_until_drained",
    "wait_until_ready",
    "wait_until_registered",
]

_POLL_SECONDS = 0.004
_LONGEST = 120.0
_QUIET_SECONDS = 0.03
_BUSY_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Moment:
    time: float
    executed: int
    worker_cpu: float
    server_cpu: float
    wal: int


@dataclass(frozen=True, slots=True)
class Window:
    """What so many jobs took. ``to_first`` is from the start of the workers to the first job."""

    jobs: int
    seconds: float
    worker_cpu: float
    server_cpu: float
    wal: int
    to_first: float
    transactions: int = 0

    @property
    def rate(self) -> float:
        return self.jobs / self.seconds


def drain(
    run: Run,
    jobs: int,
    *,
    first: int = 0,
    workers: int = 1,
    processes: int | None = None,
    flags: tuple[str, ...] = (),
    whole: bool = False,
    partly: bool = False,
    already: int = 0,
    settings: Mapping[str, str] = MappingProxyType({}),
    **extra: object,
) -> Window:
    """Let workers run what is enqueued, and check that each job ran exactly once.

    ``whole``: count the jobs that were begun before the window, for jobs that take long.
    ``settings`` are of the workers (see the ``knobs`` of a system).
    ``partly``: there is more to do than ``jobs``, of which ``already`` have run; stop then.
    """
    asked = dict(settings) | {name: str(value) for name, value in extra.items()}
    transactions = run.database.transactions()
    with fleet(run.system, run.environment | asked, workers=workers, flags=flags) as running:
        window = measure(
            run,
            running,
            jobs,
            first=first,
            processes=processes or workers,
            whole=whole,
            partly=partly,
            already=already,
        )
    run.database.wait_until_left()
    if not partly:
        run.marks.check(first, jobs)
    spent = run.database.transactions() - transactions
    return Window(
        window.jobs,
        window.seconds,
        window.worker_cpu,
        window.server_cpu,
        window.wal,
        window.to_first,
        spent,
    )


def measure(
    run: Run,
    running: Fleet,
    jobs: int,
    *,
    first: int,
    processes: int,
    whole: bool,
    partly: bool,
    already: int = 0,
) -> Window:
    started = time.monotonic()
    number = jobs if not partly else run.marks.jobs
    begin_by = started + _LONGEST
    while True:
        executed = run.marks.executed(first, number)
        if executed > already and (run.marks.processes() >= processes or executed >= jobs):
            break
        _wait(running, begin_by, f"{executed} of {jobs} jobs begun")
    begin = _moment(run, running, executed)
    wait_until_executed(run, running, jobs, first=first, number=number)
    end = _moment(run, running, run.marks.executed(first, number))
    if not partly:
        end = _recorded(run, running, end)
    done = end.executed - (0 if whole else begin.executed)
    if done <= 0:  # so few jobs that they were all begun at the first look
        done = jobs
    return Window(
        jobs=done,
        seconds=end.time - begin.time,
        worker_cpu=end.worker_cpu - begin.worker_cpu,
        server_cpu=end.server_cpu - begin.server_cpu,
        wal=end.wal - begin.wal,
        to_first=begin.time - started,
    )


def wait_until_executed(run: Run, running: Fleet, jobs: int, *, first: int, number: int) -> None:
    deadline = time.monotonic() + _LONGEST
    while True:
        looked = time.monotonic()
        executed = run.marks.executed(first, number)
        cost = time.monotonic() - looked
        if executed >= jobs:
            return
        _wait(running, deadline, f"{executed} of {jobs} jobs executed")
        time.sleep(10 * cost)


def wait_until_begun(run: Run, running: Fleet) -> None:
    """Wait until the workers run something."""
    deadline = time.monotonic() + _LONGEST
    while not run.marks.executed():
        _wait(running, deadline, "no job has begun")


def wait_until_ready(run: Run, running: Fleet, jobs: int) -> None:
    """Let so many timed jobs through, so that all is warm, and wait until the worker is idle."""
    run.bulk("stamp", 0, jobs)
    deadline = time.monotonic() + _LONGEST
    while (stamped := run.marks.stamped()) < jobs:
        _wait(running, deadline, f"{stamped} of {jobs} first jobs have begun")
    wait_until_drained(run, running)
    time.sleep(run.settle)


def wait_until_registered(run: Run, running: Fleet, workers: int) -> None:
    """Wait until so many pgqueue workers wait for jobs."""
    deadline = time.monotonic() + _LONGEST
    with run.database.connect() as connection:
        while True:
            row = connection.execute("select count(*) from pgqueue.worker").fetchone()
            assert row is not None
            if row[0] >= workers:
                break
            _wait(running, deadline, f"{row[0]} of {workers} workers are registered")
            time.sleep(0.1)
    time.sleep(run.settle)


def wait_until_drained(run: Run, running: Fleet) -> None:
    """Wait until the database says that every job is finished."""
    deadline = time.monotonic() + _LONGEST
    while True:
        looked = time.monotonic()
        left = run.unfinished()
        cost = time.monotonic() - looked
        if not left:
            return
        _wait(running, deadline, f"all jobs executed, {left} not recorded as finished")
        time.sleep(4 * cost)


def _recorded(run: Run, running: Fleet, executed: Moment) -> Moment:
    """Return the moment at which the last job was recorded as finished.

    To count what is left reads all that lies dead, which took 0.2 s of three processes beside a
    million dead rows: so it is counted once nothing has been written for a while, and the moment is
    the last at which something was. Who writes all the time is counted all the same.
    """
    deadline = time.monotonic() + _LONGEST
    last = now = executed
    count_at = executed.time + _QUIET_SECONDS
    while True:
        if now.wal != last.wal:
            last = now
        quiet = now.time > last.time + _QUIET_SECONDS
        if now.time > count_at and (quiet or now.time > executed.time + _BUSY_SECONDS):
            left = run.unfinished()
            if not left:
                return last if quiet else now
            count_at = time.monotonic() + 4 * (time.monotonic() - now.time)
            _wait(running, deadline, f"all jobs executed, {left} not recorded as finished")
        _wait(running, deadline, "all jobs executed, and something is written all the time")
        now = _moment(run, running, executed.executed)


def _wait(running: Fleet, deadline: float, what: str) -> None:
    if time.monotonic() > deadline:
        raise Failed(f"after {_LONGEST:g} s: {what}")
    running.check()
    time.sleep(_POLL_SECONDS)


def _moment(run: Run, running: Fleet, executed: int) -> Moment:
    server = run.database.server
    return Moment(time.monotonic(), executed, running.cpu, server.cpu, server.wal)
