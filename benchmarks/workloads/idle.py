"""What a worker with ten queues and nothing to do costs; and what importing pgqueue costs."""

from __future__ import annotations

import subprocess
import time

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

    def turn(system: System) -> tuple[float, float, float]:
        mine = system.name == "pgqueue"
        with bench.run(system, 100) as run:
            flags = (*_QUEUES, "--queue", "default") if mine else ()
            with fleet(system, run.environment, flags=flags) as running:
                wait_until_ready(run, running, 5)
                # Sessions report what they did when they have been idle for ten seconds at most.
                time.sleep(bench.span(11.0, 0.2))
                before = run.database.transactions(), running.cpu, bench.server.cpu
                time.sleep(seconds)
                after = run.database.transactions(), running.cpu, bench.server.cpu
        spent = [(b - a) / seconds for a, b in zip(before, after, strict=True)]
        return spent[0], 100 * spent[1], 100 * spent[2]

    rows: list[Row] = []
    for name, found in bench.in_turn(NAME, systems, turn).items():
        if not found:
            continue
        mine = name == "pgqueue"
        for n, (figure, unit, target) in enumerate(
            (
                ("transactions", "/s", "<= 1"),
                ("worker CPU", "% of a core", "<= 0.5"),
                ("server CPU", "% of a core", None),
            )
        ):
            values = [one[n] for one in found]
            rows.append(row(NAME, name, figure, values, unit, target if mine else None))
    if any(system.name == "pgqueue" for system in systems):
        rows.append(row(NAME, "pgqueue", "import", _imports(), "ms", "<= 100"))
    return rows + bench.failed_rows(NAME)


def _imports() -> list[float]:
    times: list[float] = []
    for _ in range(6):
        done = subprocess.run(
            [here(), "-c", _IMPORT],
            capture_output=True,
            text=True,
            check=True,
            env=clean_environment(),
        )
        times.append(1e3 * float(done.stdout))
    return times[1:]
