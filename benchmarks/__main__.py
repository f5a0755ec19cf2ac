"""``python -m benchmarks WORKLOAD --systems a,b --json FILE``; all of it: ``make bench``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.harness.dispositions import let_children_heed

from benchmarks import machine, systems, workloads
from benchmarks.bench import Bench, say
from benchmarks.busy import beside, busy
from benchmarks.cluster import Server, own_server
from benchmarks.report import write_report
from benchmarks.rows import Row
from benchmarks.systems.base import Missing, System
from benchmarks.table import terminal
from benchmarks.workloads.fleet_plan import crews_of, slots_of


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    whole = tuple(name for name in workloads.NAMES if name not in workloads.APART)
    names = whole if options.workload == "all" else (options.workload,)
    rows: list[Row] = []
    measured: dict[str, System] = {}
    absent: dict[str, str] = {}
    with own_server() as server, busy(options.busy):
        try:
            for name in names:
                bench = _bench(server, name, options)
                measured |= {system.name: system for system in bench.systems}
                absent |= bench.absent
                rows += workloads.get(name)(bench)
        except KeyboardInterrupt:
            say("interrupted; what was measured is kept")
        facts = machine.describe(server, list(measured.values()), absent)
    rows = beside(rows, options.busy)
    print(terminal(rows))
    if options.json:
        Path(options.json).write_text(_json(rows))
    if options.report:
        write_report(Path(options.report), facts, rows, complete=options.workload == "all")
    return 1 if any(row.ok is False for row in rows) and options.strict else 0


def _json(rows: list[Row]) -> str:
    return json.dumps([row.as_json() for row in rows], indent=1, ensure_ascii=False) + "\n"


def _bench(server: Server, workload: str, options: argparse.Namespace) -> Bench:
    chosen = (
        options.systems.split(",") if options.systems else list(_usual(workload, options.quick))
    )
    there: list[System] = []
    absent: dict[str, str] = {}
    for name in chosen:
        if name not in systems.NAMES:
            sys.exit(f'no system is named "{name}"; there are {", ".join(systems.NAMES)}')
        system = systems.get(name)
        try:
            system.version()
        except Missing as exc:
            absent[name] = str(exc)
            say(f"{workload}: {name} is not here: {exc}")
            continue
        there.append(system)
    rounds = options.rounds or (1 if options.quick else workloads.ROUNDS.get(workload, 3))
    return Bench(
        server,
        there,
        rounds,
        options.quick,
        options.jobs,
        absent,
        sizes=options.sizes,
        as_they_come=options.as_they_come,
        slots=options.concurrency,
        seconds=options.seconds,
        rows=options.rows,
    )


def _usual(workload: str, quick: bool) -> Sequence[str]:
    if quick:
        return ("pgqueue", "baseline")
    return workloads.SYSTEMS.get(workload, systems.NAMES)


def _sizes(text: str) -> str:
    try:
        crews_of(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None
    return text


def _slots(text: str) -> tuple[int, ...]:
    try:
        return slots_of(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def _loops(text: str) -> int:
    loops = int(text)
    if not 0 <= loops <= 1000:
        raise argparse.ArgumentTypeError(f"{loops} is no number of loops")
    return loops


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "workload",
        choices=(*workloads.NAMES, "all"),
        metavar="WORKLOAD",
        help=", ".join((*workloads.NAMES, "all")),
    )
    parser.add_argument("--systems", help="which, with commas between: " + ", ".join(systems.NAMES))
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--report", metavar="DIR", help="write the table, the plots and the JSON")
    parser.add_argument("--jobs", type=int, help="how many jobs a run has, in place of its usual")
    parser.add_argument("--rounds", type=int, help="how often all take their turn [3; quick: 1]")
    parser.add_argument(
        "--seconds", type=float, metavar="N", help="sustained: how long it enqueues [600]"
    )
    parser.add_argument(
        "--rows", type=int, metavar="N", help="history: how many finished jobs [100,000,000]"
    )
    parser.add_argument(
        "--sizes",
        type=_sizes,
        metavar="N,N-pooled",
        help="fleet: how many workers, direct or through PgBouncer",
    )
    parser.add_argument(
        "--concurrency",
        type=_slots,
        default=(),
        metavar="N,N",
        help="fleet: how many jobs each worker runs at once [as each system is set]",
    )
    parser.add_argument(
        "--busy",
        type=_loops,
        default=0,
        metavar="N",
        help="so many busy loops run beside the measurement [0]",
    )
    parser.add_argument(
        "--as-they-come", action="store_true", help="measure no system at its kindest as well"
    )
    parser.add_argument("--quick", action="store_true", help="tiny and untimed: does it all work?")
    parser.add_argument("--strict", action="store_true", help="end with 1 if a target was missed")
    return parser


if __name__ == "__main__":
    let_children_heed()
    sys.exit(main())
