"""Find a system's best settings: ``python -m benchmarks.sweep SYSTEM --rounds 3``.

What is tried are the settings of its description in benchmarks/systems (``knobs``). One after
another is varied, the others as they were found best so far. The values of a setting take turns,
each with a backlog of no-op jobs in a vacuumed database. The best has the highest median rate. The
last line is what belongs into the description (``kindest``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.harness.dispositions import let_children_heed

from benchmarks import systems
from benchmarks.bench import Bench, say
from benchmarks.cluster import own_server
from benchmarks.kindest import KINDEST
from benchmarks.rows import median
from benchmarks.systems.base import Failed, Missing, System
from benchmarks.window import drain

__all__ = ["Tried", "main", "sweep"]

Settings = Mapping[str, str]
_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Tried:
    """A value of a setting, beside the other settings as they were; no rates if it failed."""

    knob: str
    value: str
    rates: tuple[float, ...]

    @property
    def rate(self) -> float:
        return median(self.rates) if self.rates else 0.0


def sweep(
    knobs: Mapping[str, Sequence[str]], rounds: int, measure: Callable[[Settings], float | None]
) -> tuple[list[Tried], dict[str, str]]:
    """Return what was tried, and the best value of each setting.

    ``measure`` returns a rate, or None where the system does not work with the settings.
    """
    best = {knob: values[0] for knob, values in knobs.items()}
    tried: list[Tried] = []
    for knob, values in knobs.items():
        rates: dict[str, list[float | None]] = {value: [] for value in values}
        for number in range(rounds):
            for value in values if number % 2 == 0 else values[::-1]:
                if None not in rates[value]:
                    rates[value].append(measure(best | {knob: value}))
        found = [
            Tried(knob, value, () if None in rates[value] else tuple(filter(None, rates[value])))
            for value in values
        ]
        tried += found
        best[knob] = max(found, key=lambda one: one.rate).value
    return tried, best


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    system = systems.get(options.system)
    if not system.knobs:
        sys.exit(f"{system.name} has no settings to try")
    try:
        say(f"{system.name} {system.version()}")
    except Missing as exc:
        sys.exit(f"{system.name} is not here: {exc}")
    with own_server() as server:
        bench = Bench(server, [system], options.rounds, options.quick, options.jobs)
        tried, best = sweep(
            system.knobs, options.rounds, lambda settings: _rate(bench, system, settings, options)
        )
    for one in tried:
        rate = f"{one.rate:>10,.0f} jobs/s" if one.rates else "    failed"
        print(f"{one.knob:<20} {one.value:>6} {rate}  {' '.join(f'{r:,.0f}' for r in one.rates)}")
    changed = {knob: value for knob, value in best.items() if value != system.knobs[knob][0]}
    print(f"kindest={changed}")
    return 0


def _rate(
    bench: Bench, system: System, settings: Settings, options: argparse.Namespace
) -> float | None:
    jobs = bench.count(system, _SECONDS)
    try:
        with bench.run(system, jobs) as run:
            run.bulk("noop", 0, jobs)
            KINDEST.prepare(run)
            rate = drain(run, jobs, settings=settings, workers=options.workers).rate
    except Failed as exc:
        say(f"  {dict(settings)} failed: {exc}")
        return None
    say(f"  {dict(settings)}: {rate:,.0f} jobs/s")
    return rate


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweep",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "system", choices=systems.NAMES, metavar="SYSTEM", help=", ".join(systems.NAMES)
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each value is run [3]")
    parser.add_argument("--workers", type=int, default=1, help="how many workers drain [1]")
    parser.add_argument("--jobs", type=int, help="how many jobs a run has, in place of its usual")
    parser.add_argument("--quick", action="store_true", help="tiny: does it work?")
    return parser


if __name__ == "__main__":
    let_children_heed()
    sys.exit(main())
