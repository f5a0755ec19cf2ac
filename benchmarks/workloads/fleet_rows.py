"""The rows of the workload `fleet`: its figures, their ratios, and the targets beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from benchmarks.rows import Row, median, row
from benchmarks.table import number
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

# Ratios to four workers, and the targets of some.
_RATIOS = {
    "callers": {100: ">= 0.9"},
    "drain": {100: ">= 0.85", 200: ">= 0.7"},
}
# Said of a fleet that is told of jobs: one that polls does as much without any.
_ONLY_DIRECT = ("transactions", "slow_cpu")


def rows_of(
    system: str,
    turns: Mapping[Crew, Sequence[Turn]],
    rates: Mapping[Crew, Sequence[Turn]] = MappingProxyType({}),
) -> list[Row]:
    """The rows of one system, ratios from the turns for ``rates``; targets are pgqueue's."""
    mine = system == "pgqueue"
    rows: list[Row] = []
    for crew, found in turns.items():
        found = [*found, *rates.get(crew, ())]
        for key, figure in _FIGURES.items():
            samples = [value for turn in found for value in turn.samples.get(key, ())]
            if samples and not (crew.pooled and key in _ONLY_DIRECT):
                target = _TARGETS.get((key, crew.usual)) if mine else None
                said = next((turn.notes[key] for turn in found if key in turn.notes), "")
                note = "; ".join(filter(None, (_spread(samples), said)))
                label = f"{figure.label}, {crew}"
                rows.append(row(NAME, system, label, samples, figure.unit, target, note))
    for key, targets in _RATIOS.items():
        for crew, found in rates.items():
            ratios = _ratios(found, rates.get(crew.base, ()), key) if crew != crew.base else []
            if ratios:
                label = f"{_FIGURES[key].label}, {crew} / {crew.base.size}"
                target = targets.get(crew.size) if mine else None
                rows.append(row(NAME, system, label, ratios, "x", target, _spread(ratios)))
    return rows


def _ratios(ours: Sequence[Turn], base: Sequence[Turn], key: str) -> list[float]:
    """One of each turn in which both have samples."""
    return [
        median(one.samples[key]) / median(other.samples[key])
        for one, other in zip(ours, base, strict=False)
        if one.samples.get(key) and other.samples.get(key)
    ]


def _spread(samples: Sequence[float]) -> str:
    """The smallest and the largest of several samples, for the note beside their median."""
    if len(samples) < 2:
        return ""
    return f"{len(samples)} samples, {number(min(samples))} to {number(max(samples))}"
