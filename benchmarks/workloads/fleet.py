"""Many idle worker processes, and what one job costs them: 1 to 200, direct and through PgBouncer.

The fleets take turns. Each is started in supervisors of up to ten processes, and gives all its
figures. Then those that are compared with four workers are started thrice more, in turns, for their
rates: each ratio is of two neighbours, so a machine that grows slower changes both. Callers and
streams enqueue one job a call, on the server itself. A wait is from before the enqueue call to the
handler's first line. Transactions are counted in the server's log. The fleet, the server and the
callers share the cores: ratios say more than rates.

It takes longer than the rest of `make bench`, which leaves it out: `python -m benchmarks fleet`.
Peers have as many processes, without a supervisor; none goes through PgBouncer.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence

from benchmarks.bench import Bench, say
from benchmarks.rows import Row
from benchmarks.systems.base import Failed, Missing, System
from benchmarks.workloads.fleet_enqueuers import beside_one
from benchmarks.workloads.fleet_load import Turn
from benchmarks.workloads.fleet_plan import Crew, compared, crews_of
from benchmarks.workloads.fleet_rows import NAME, rows_of
from benchmarks.workloads.fleet_turn import rates_turn, turn

__all__ = ["run"]

_SIZES = "1,4,30,100,200,30-pooled,100-pooled"
_QUICK = "1,2"
_MOST_OF_PEERS = 100
_TURNS = 3  # of the fleets that are compared
_ERRORS = (Failed, Missing, subprocess.TimeoutExpired)
_Take = Callable[[Bench, System, Crew, Turn], None]


def run(bench: Bench) -> list[Row]:
    systems = bench.doing(NAME)
    crews = crews_of(bench.sizes or (_QUICK if bench.quick else _SIZES), bench.slots)
    found = _in_turns(bench, systems, crews, bench.rounds, "all", turn)
    turns = bench.size(_TURNS, 1) * bench.rounds
    rates = _in_turns(bench, systems, compared(crews), turns, "rates", rates_turn)
    rows: list[Row] = []
    for system in systems:
        rows += rows_of(system.name, found[system.name], rates[system.name])
        if system.name == "pgqueue" and Crew(1) in crews:
            say(f"{NAME}: enqueuers beside one worker of {system.name}")
            try:
                rows += beside_one(bench, system)
            except _ERRORS as exc:
                _note(bench, system, f"enqueuers: {exc}")
    return rows + bench.failed_rows(NAME)


def _in_turns(
    bench: Bench,
    systems: Sequence[System],
    crews: Sequence[Crew],
    turns: int,
    what: str,
    take: _Take,
) -> dict[str, dict[Crew, list[Turn]]]:
    """Let the fleets take turns; one that fails takes no more."""
    found: dict[str, dict[Crew, list[Turn]]] = {system.name: {} for system in systems}
    failed: set[tuple[str, Crew]] = set()
    for number in range(turns):
        for crew in crews:
            for system in systems:
                if (system.name, crew) in failed or not _takes(system, crew):
                    continue
                say(f"{NAME}, {what}, {number + 1}/{turns}: {crew} of {system.name}")
                one = Turn()
                found[system.name].setdefault(crew, []).append(one)
                try:
                    take(bench, system, crew, one)
                except _ERRORS as exc:
                    failed.add((system.name, crew))
                    _note(bench, system, f"{crew}: {exc}")
    return found


def _takes(system: System, crew: Crew) -> bool:
    return system.name == "pgqueue" or (not crew.pooled and crew.size <= _MOST_OF_PEERS)


def _note(bench: Bench, system: System, what: str) -> None:
    say(f"  failed: {what}")
    key = f"{NAME}/{system.name}"
    bench.failures[key] = "; ".join(filter(None, (bench.failures.get(key), what)))
