"""Jobs with `job.transaction()` beside a floor on as many connections, within one run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.bench import Bench, Run
from benchmarks.rows import Row, row
from benchmarks.systems.base import APPS, Failed, System, here
from benchmarks.window import drain

__all__ = ["AgainstFloor", "compare"]

_LONGEST = 300.0


@dataclass(frozen=True, slots=True)
class AgainstFloor:
    """``task``: whose jobs run; ``kind``: which floor; ``connections``: how many each may use."""

    workload: str
    task: str
    kind: str
    connections: Sequence[int]
    jobs: int


def compare(bench: Bench, what: AgainstFloor) -> list[Row]:
    rows: list[Row] = []
    ours = [system for system in bench.doing(what.workload) if system.name == "pgqueue"]
    for connections in what.connections:

        def turn(system: System, connections: int = connections) -> dict[str, float]:
            return _turn(bench, system, what, connections)

        for name, found in bench.in_turn(what.workload, ours, turn).items():
            if found:
                rows += _rows(what.workload, name, connections, found)
    return rows + bench.failed_rows(what.workload)


def _turn(bench: Bench, system: System, what: AgainstFloor, connections: int) -> dict[str, float]:
    """Measure the floor before our jobs and after them: what drifts meets both alike."""
    jobs = bench.size(what.jobs, 100)
    with bench.run(system, jobs) as run:
        floors = [_floor(run, what.kind, connections, jobs)]
        run.bulk(what.task, 0, jobs)
        effects = run.database.count("select count(*) from settled")
        ours = drain(run, jobs, BENCH_TRANSACTIONS=connections)
        effects = run.database.count("select count(*) from settled") - effects
        if effects != jobs:
            raise Failed(f"{jobs} jobs have {effects} effects")
        floors.append(_floor(run, what.kind, connections, jobs))
        rate = sum(floor["rate"] for floor in floors) / len(floors)
        return {
            "rate": ours.rate,
            "floor": rate,
            "ratio": ours.rate / rate,
            "worker": ours.worker_cpu / ours.jobs * 1e6,
            "server": ours.server_cpu / ours.jobs * 1e6,
            "floor client": sum(floor["cpu"] for floor in floors) / len(floors) * 1e6,
            "floor server": sum(floor["server"] for floor in floors) / len(floors) * 1e6,
        }


def _floor(run: Run, kind: str, connections: int, count: int) -> dict[str, float]:
    server = run.database.server
    cpu = server.cpu
    done = subprocess.run(
        [here(), str(APPS / "floor.py"), kind, str(connections), str(count)],
        env=run.environment, cwd=APPS, capture_output=True, text=True, check=False,
        timeout=_LONGEST,
    )  # fmt: skip
    if done.returncode:
        raise Failed(f"the floor ended with {done.returncode}: {done.stderr[-500:]}")
    return {**json.loads(done.stdout), "server": (server.cpu - cpu) / count}


def _rows(workload: str, name: str, connections: int, found: list[dict[str, float]]) -> list[Row]:
    on = f"{connections} connections"

    def each(key: str) -> list[float]:
        return [one[key] for one in found]

    return [
        row(workload, name, f"jobs, {on}", each("rate"), "jobs/s"),
        row(workload, name, f"floor, {on}", each("floor"), "1/s"),
        row(workload, name, f"jobs / floor, {on}", each("ratio"), "x", ">= 0.85", "in turns"),
        row(workload, name, f"worker CPU, {on}", each("worker"), "us/job"),
        row(workload, name, f"floor's client CPU, {on}", each("floor client"), "us"),
        row(workload, name, f"server CPU, {on}", each("server"), "us/job"),
        row(workload, name, f"floor's server CPU, {on}", each("floor server"), "us"),
    ]
