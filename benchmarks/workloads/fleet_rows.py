"""The rows of the workload `fleet`: its figures, their ratios, and the targets beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.rows import Row, median, row
from benchmarks.workloads.fleet_load import Turn
from benchmarks.workloads.fleet_plan import Crew

__all__ = ["NAME", "rows_of"]

NAME = "fleet"


@dataclass(frozen=True, slots=True)
class _Figure:
    label: str
    unit: str


_FIGURES = {
    "callers": _Figure("single enqueues of 5 callers", "/s"),
    "transactions": _Figure("transactions of one job beyond idle", ""),
    "slow_p50": _Figure("p50, 20/s", "ms"),
    "slow_p99": _Figure("p99, 20/s", "ms"),
    "slow_cpu": _Figure("worker + server CPU of a job, 20/s", "ms"),
    "fast_done": _Figure("begun, 500/s asked", "/s"),
    "fast_p50": _Figure("p50, 500/s asked", "ms"),
    "fast_p99": _Figure("p99, 500/s asked", "ms"),
    "drain": _Figure("drain, one commit", "jobs/s"),
    "burst": _Figure("1,000 jobs of 10 ms: all begun", "ms"),
    "idle_transactions": _Figure("idle, transactions", "/s"),
    "idle_server": _Figure("idle, server CPU", "% of a core"),
    "idle_workers": _Figure("idle, worker CPU", "% of a core"),
    "recovery": _Figure("server restarted: p99 below 50 ms after", "s"),
}

_TARGETS = {
    ("transactions", Crew(100)): "<= 12",
    ("transactions", Crew(200)): "<= 12",
    ("slow_p50", Crew(200)): "<= 5",
    ("slow_p99", Crew(200)): "<= 25",
    ("fast_p99", Crew(100)): "<= 50",
    ("burst", Crew(200)): "<= 100",
    ("idle_server", Crew(100)): "<= 4",
    ("idle_server", Crew(100, pooled=True)): "<= 8",
    ("recovery", Crew(100)): "<= 5",
}

# Ratios to four workers. A direct fleet's only: behind PgBouncer nobody is woken.
_BASE = Crew(4)
_RATIOS = {
    ("callers", Crew(30)): None,
    ("callers", Crew(100)): ">= 0.9",
    ("callers", Crew(200)): None,
    ("drain", Crew(30)): None,
    ("drain", Crew(100)): ">= 0.85",
    ("drain", Crew(200)): ">= 0.7",
}
# Said of a fleet that is told of jobs: one that polls does as much without any.
_ONLY_DIRECT = ("transactions", "slow_cpu")


def rows_of(system: str, turns: Mapping[Crew, Sequence[Turn]]) -> list[Row]:
    """The rows of one system; targets are pgqueue's."""
    mine = system == "pgqueue"
    rows: list[Row] = []
    for crew, found in turns.items():
        for key, figure in _FIGURES.items():
            samples = _samples(found, key)
            if samples and not (crew.pooled and key in _ONLY_DIRECT):
                target = _TARGETS.get((key, crew)) if mine else None
                note = next((turn.notes[key] for turn in found if key in turn.notes), "")
                label = f"{figure.label}, {crew}"
                rows.append(row(NAME, system, label, samples, figure.unit, target, note))
    for (key, crew), target in _RATIOS.items():
        ours, theirs = (_samples(turns.get(one, ()), key) for one in (crew, _BASE))
        if ours and theirs:
            label = f"{_FIGURES[key].label}, {crew} / {_BASE.size}"
            ratio = median(ours) / median(theirs)
            rows.append(row(NAME, system, label, ratio, "x", target if mine else None))
    return rows


def _samples(turns: Sequence[Turn], key: str) -> list[float]:
    return [value for turn in turns for value in turn.samples.get(key, ())]
