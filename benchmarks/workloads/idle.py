"""What a worker with ten queues and nothing to do costs; and what importing pgqueue costs."""

from __future__ import annotations

import subprocess
import time
from itertools import pairwise

from benchmarks.bench import Bench
from benchmarks.fleet import fleet
from benchmarks.rows import Row, row
from benchmarks.systems.base import System, clean_environment, here
from benchmarks.window import wait_until_ready

__all__ = ["run"]

NAME = "idle"
_QUEUES = tuple(word for n in range(10) for word in ("--queue", f"queue-{n}"))
_IMPORT = "import time; t = time.perf_counter(); import pgqueue; print(time.perf_counter() - t)"


def run(bench: Bench) -> list[Row]:
    systems = bench.doing(NAME)
    seconds = bench.span(12.0, 1.0)
    windows = bench.rounds

    def turn(system: System) -> list[tuple[float, ...]]:
        mine = system.name == "pgqueue"
        with bench.run(system, 100) as run:
            flags = (*_QUEUES, "--queue", "default") if mine else ()
            with fleet(system, run.environment, flags=flags) as running:
                wait_until_ready(run, running, 5)
                # Sessions report what they did once they were idle for ten seconds at most, and
                # three looks, 5 s apart, see the last of the warm-up.
                time.sleep(bench.span(17.0, 0.2))
                moments = [(run.database.transactions(), running.cpu, bench.server.cpu)]
                for _ in range(windows):
                    time.sleep(seconds)
                    moments.append((run.database.transactions(), running.cpu, bench.server.cpu))
        return [
            tuple((after - before) / seconds for before, after in zip(*two, strict=True))
            for two in pairwise(moments)
        ]

    bench.rounds = 1  # nothing changes from one window to the next: they follow each other
    try:
        results = bench.in_turn(NAME, systems, turn)
    finally:
        bench.rounds = windows
    rows: list[Row] = []
    for name, turns in results.items():
        if not turns:
            continue
        (found,) = turns
        mine = name == "pgqueue"
        for n, (figure, unit, target) in enumerate(
            (
                ("transactions", "/s", "<= 1"),
                ("worker CPU", "% of a core", "<= 0.5"),
                ("server CPU", "% of a core", None),
            )
        ):
            scale = 100 if unit.startswith("%") else 1
            values = [scale * one[n] for one in found]
            rows.append(row(NAME, name, figure, values, unit, target if mine else None))
    if any(system.name == "pgqueue" for system in systems):
        rows.append(row(NAME, "pgqueue", "import", _imports(), "ms", "<= 100"))
    return rows + bench.failed_rows(NAME)


def _imports() -> list[float]:
    times: list[float] = []
    for _ in range(16):
        done = subprocess.run(
            [here(), "-c", _IMPORT],
            capture_output=True,
            text=True,
            check=True,
            env=clean_environment(),
        )
        times.append(1e3 * float(done.stdout))
    return times[1:]
