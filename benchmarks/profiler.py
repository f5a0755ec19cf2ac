"""``python -m benchmarks.profiler``: where a worker's CPU goes, in microseconds a job.

Runs take turns: one as it is, for the CPU and the WAL of a job, one under py-spy, for the shares. A
sampled worker is slower, and all its parts with it; so only shares are taken from it.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.harness.dispositions import let_children_heed

import pgqueue
from benchmarks.bench import Bench, Run, say
from benchmarks.cluster import own_server
from benchmarks.fleet import fleet
from benchmarks.parts import PARTS, read_stacks
from benchmarks.rows import Row, row
from benchmarks.systems.base import Failed, Missing
from benchmarks.systems.pgqueue import SYSTEM
from benchmarks.table import terminal
from benchmarks.window import Window, drain, measure, wait_until_registered

NAME = "profile"
_QUEUE = "default"
_STOP_SECONDS = 30.0


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        rows = _measured(options)
    except (Failed, Missing) as exc:
        print(f"no profile: {exc}", file=sys.stderr)
        return 1
    print(terminal(rows))
    return 0


def _measured(options: argparse.Namespace) -> list[Row]:
    windows: list[Window] = []
    samples: Counter[str] = Counter()
    with own_server() as server:
        bench = Bench(server, [SYSTEM], options.rounds, options.quick, options.jobs)
        for number in range(options.rounds):
            say(f"{NAME} {number + 1}/{options.rounds}: as it is")
            with bench.run(SYSTEM, options.jobs) as run:
                run.bulk("noop", 0, options.jobs)
                windows.append(drain(run, options.jobs))
            say(f"{NAME} {number + 1}/{options.rounds}: sampled")
            keep = Path(options.stacks, f"{number + 1}.txt") if options.stacks else None
            with bench.run(SYSTEM, options.jobs) as run:
                samples += _sampled(run, options.jobs, options.hertz, keep)
    return _rows(windows, samples)


def _sampled(run: Run, jobs: int, hertz: int, keep: Path | None) -> Counter[str]:
    """Drain under the sampler; its worker waits with it for the queue to be opened."""
    with pgqueue.App(run.database.dsn) as app:
        app.pause(_QUEUE)
        run.bulk("noop", 0, jobs)
        with tempfile.TemporaryDirectory(prefix="pgqueue-bench-stacks-") as directory:
            stacks = keep or Path(directory, "stacks.txt")
            with fleet(SYSTEM, run.environment) as running:
                wait_until_registered(run, running, 1)
                with _sampler(running.pids[0], hertz, stacks):
                    app.resume(_QUEUE)
                    measure(run, running, jobs, first=0, processes=1, whole=False, partly=False)
            run.marks.check(0, jobs)
            return read_stacks(stacks.read_text().splitlines())


@contextmanager
def _sampler(pid: int, hertz: int, output: Path) -> Iterator[None]:
    """Sample what a process does, its threads and its C code, for the body, but no idle time."""
    program = Path(sys.executable).parent / "py-spy"
    if not program.exists():
        raise Missing("py-spy is not installed; `make bench` installs it")
    options = ("--format", "raw", "--native", "--full-filenames", "--function")
    command = [str(program), "record", *options, "--rate", str(hertz), "--pid", str(pid)]
    sampler: subprocess.Popen[Any] = subprocess.Popen(
        [*command, "--output", str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    try:
        assert sampler.stdout is not None
        said: list[str] = []
        for line in sampler.stdout:
            said.append(line.strip())
            if "Press Control-C" in line:
                break
        else:
            raise Failed(f"py-spy cannot look into a worker: {' '.join(said)}")
        yield
        sampler.send_signal(signal.SIGINT)
        sampler.communicate(timeout=_STOP_SECONDS)
    finally:
        if sampler.poll() is None:
            sampler.kill()
        sampler.wait()


def _rows(windows: Sequence[Window], samples: Counter[str]) -> list[Row]:
    def per_job(values: Sequence[float]) -> list[float]:
        return [value / window.jobs for value, window in zip(values, windows, strict=True)]

    worker = per_job([window.worker_cpu * 1e6 for window in windows])
    total = samples.total()
    if not total:
        raise Failed("py-spy saw nothing of the worker's work; give it more jobs")
    rows: list[Row] = []
    for part in PARTS:
        share = samples[part] / total
        note = f"{share:.1%} of {total:,} samples"
        rows.append(row(NAME, SYSTEM.name, part, [cpu * share for cpu in worker], "µs", note=note))
    named = sum(samples[part] for part in PARTS)
    if named != total:
        raise Failed(f"{total - named} of {total} samples are in no part")
    jobs = f"{windows[0].jobs:,} jobs, {windows[0].rate:,.0f} jobs/s"
    server = per_job([window.server_cpu * 1e6 for window in windows])
    wal = per_job([float(window.wal) for window in windows])
    return [
        *rows,
        row(NAME, SYSTEM.name, "worker CPU per job: the sum", worker, "µs", note=jobs),
        row(NAME, SYSTEM.name, "server CPU per job", server, "µs"),
        row(NAME, SYSTEM.name, "WAL per job", wal, "B"),
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiler", description=__doc__)
    parser.add_argument(
        "--jobs", type=int, default=300_000, help="how many a run has [%(default)s]"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how many runs of each kind [3]")
    parser.add_argument("--hertz", type=int, default=200, help="samples a second [%(default)s]")
    parser.add_argument("--stacks", metavar="DIR", help="keep the sampled stacks there")
    parser.add_argument("--quick", action="store_true", help="no wait between: does it work?")
    return parser


if __name__ == "__main__":
    let_children_heed()
    sys.exit(main())
