"""Jobs of flows: what limits and turns of keys cost, and what they give to keys.

Each figure is of a new database, in turns with the same jobs without a flow. What peers can
do as well is in ``flow_peers``; the rest is of pgqueue alone.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from benchmarks.bench import Bench
from benchmarks.fleet import fleet
from benchmarks.rows import Row, percentile, ratio, row
from benchmarks.systems.base import Failed, System
from benchmarks.window import Window, drain, wait_until_drained, wait_until_ready
from benchmarks.workloads import flow_held, flow_peers, flow_queue, flow_still
from benchmarks.workloads.flow_jobs import declare, enqueue, send_stamps

__all__ = ["run"]

NAME = "flow"
_WEIGHTS = (3, 2, 1, 1)
# Name -> keys, settings, share of the usual number of jobs, target in jobs a second.
_DRAINS: dict[str, tuple[int, dict[str, Any], float, str | None]] = {
    "no flow": (0, {}, 1.0, None),
    "10,000 keys, limit 5": (10_000, {"key_concurrency": 5}, 1.0, ">= 18,000"),
    "100 keys, limit 5": (100, {"key_concurrency": 5}, 1.0, None),
    "100,000 keys, limit 5": (100_000, {"key_concurrency": 5}, 2.0, None),
    "1 key, limit 50": (1, {"key_concurrency": 50}, 0.5, ">= 12,000"),
    "1 key, limit 1": (1, {"key_concurrency": 1}, 0.03, ">= 600"),
}


def run(bench: Bench) -> list[Row]:
    # A job in line has no position, and is not finished.
    everyone = [
        dataclasses.replace(system, unfinished="select count(*) from pgqueue.job")  # type: ignore[type-var]
        if system.name == "pgqueue"
        else system
        for system in bench.doing(NAME)
    ]
    systems = [system for system in everyone if system.name == "pgqueue"]
    rows = _drains(bench, systems) + _turns(bench, systems)
    rows += flow_queue.run(bench, systems) + flow_still.run(bench, systems)
    rows += flow_peers.run(bench, everyone) + flow_held.run(bench, systems)
    return rows + bench.failed_rows(NAME)


def _drains(bench: Bench, systems: list[System]) -> list[Row]:
    rows: list[Row] = []
    for workers in (1, 4):
        for name in _DRAINS:
            if workers == 1 or name in ("no flow", "10,000 keys, limit 5"):
                rows += _drained(bench, systems, name, workers)
    many, few = "100,000 keys, limit 5, 1 worker", "100 keys, limit 5, 1 worker"
    return rows + ratio(rows, "100,000 keys / 100 keys, 1 worker", many, few, ">= 0.8")


def _turns(bench: Bench, systems: list[System]) -> list[Row]:
    rows: list[Row] = []
    turns: tuple[Callable[[Bench, System], dict[str, float]], ...] = (_latency, _tenants, _shares)
    for turn in turns:
        taken = bench.in_turn(NAME, systems, lambda system, turn=turn: turn(bench, system))
        for system, found in taken.items():
            for figure in found[0] if found else ():
                unit = _UNITS.get(figure, "ms")
                samples = [one[figure] for one in found]
                rows.append(row(NAME, system, figure, samples, unit, _TARGETS.get(figure)))
    return rows


_SHARE = "shares 3:2:1:1, the largest error"
_UNITS = {_SHARE: "%"}
_TARGETS = {
    "p50 of a limited job, idle worker": "<= 3.5",
    "p99 of a limited job, idle worker": "<= 10",
    "p50 of 10 jobs against a large tenant": "<= 100",
    "longest of 10 jobs against a large tenant": "<= 300",
    _SHARE: "<= 2",
}


def _drained(bench: Bench, systems: list[System], name: str, workers: int) -> list[Row]:
    keys, settings, share, target = _DRAINS[name]
    jobs = bench.size(max(1000, int((bench.jobs or 100_000) * share)), 200)

    def turn(system: System) -> Window:
        with bench.run(system, jobs) as run:
            enqueue(run, jobs, keys=keys, settings=settings)
            return drain(run, jobs, workers=workers)

    rows: list[Row] = []
    for system, windows in bench.in_turn(NAME, systems, turn).items():
        figure = f"{name}, {workers} worker{'s' if workers > 1 else ''}"
        goal = target if workers == 1 else None
        rates = [window.rate for window in windows]
        cpu = [1e6 * window.server_cpu / window.jobs for window in windows]
        rows.append(row(NAME, system, figure, rates, "jobs/s", goal, f"{jobs:,} jobs"))
        rows.append(row(NAME, system, f"server CPU per job, {figure}", cpu, "µs"))
    return rows


def _latency(bench: Bench, system: System) -> dict[str, float]:
    """Limited jobs, one each 50 ms, and a worker that has nothing else to do."""
    count, warm_up = bench.size(200, 20), 20
    with bench.run(system, 4 * count) as run, fleet(system, run.environment) as running:
        wait_until_ready(run, running, warm_up)
        declare(run, {"key_concurrency": 2})
        with run.database.connect() as connection:
            for _ in range(count):
                send_stamps(connection, 1)
                time.sleep(0.05)
        wait_until_drained(run, running)
        waits = [stamp.wait_ms for stamp in run.marks.stamps()[warm_up:]]
    if len(waits) != count:
        raise Failed(f"sent {count} jobs, {len(waits)} ran")
    return {
        "p50 of a limited job, idle worker": percentile(waits, 0.5),
        "p99 of a limited job, idle worker": percentile(waits, 0.99),
    }


def _tenants(bench: Bench, system: System) -> dict[str, float]:
    """One tenant has a backlog; another comes with ten jobs, again and again."""
    jobs, trials = bench.size(bench.jobs or 300_000, 2000), bench.size(25, 2)
    with bench.run(system, jobs + 10 * trials) as run:
        enqueue(run, jobs, keys=1, settings={"fair": True})
        with fleet(system, run.environment) as running, run.database.connect() as connection:
            deadline = time.monotonic() + 60
            while not run.marks.executed():
                if time.monotonic() > deadline:
                    raise Failed("no job has begun")
                time.sleep(0.01)
            for _ in range(trials):
                send_stamps(connection, 10)
                time.sleep(0.25)
            wait_until_drained(run, running)
        waits = [stamp.wait_ms for stamp in run.marks.stamps()]
    return {
        "p50 of 10 jobs against a large tenant": percentile(waits, 0.5),
        "longest of 10 jobs against a large tenant": max(waits),
    }


def _shares(bench: Bench, system: System) -> dict[str, float]:
    """Four tenants with a backlog each: who has run how many when the first has none left."""
    each = bench.size(30_000, 500)
    jobs = each * len(_WEIGHTS)
    with bench.run(system, jobs) as run:
        for key, weight in enumerate(_WEIGHTS):
            run.database.execute(
                "insert into pgqueue.flow_key (flow, key, weight)"
                f" values ('bench', 'k{key}', {weight})"
            )
            enqueue(run, each, keys=1, settings={"fair": True}, first=key * each, key=key)
        with fleet(system, run.environment) as running:
            deadline = time.monotonic() + 60
            while run.marks.executed(0, each) < each // 2:
                if time.monotonic() > deadline:
                    raise Failed("the shares were not run")
                time.sleep(0.002)
            ran = [run.marks.executed(key * each, each) for key in range(len(_WEIGHTS))]
            wait_until_drained(run, running)
    total = sum(ran)
    errors = [
        abs(100 * n / total - 100 * weight / sum(_WEIGHTS))
        for n, weight in zip(ran, _WEIGHTS, strict=True)
    ]
    return {_SHARE: max(errors)}
