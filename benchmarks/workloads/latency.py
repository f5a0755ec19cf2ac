"""From the enqueue call to the handler's first line, of a worker with little to do."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.fleet import fleet
from benchmarks.rows import Row, percentile, row
from benchmarks.systems.base import Failed, System, call
from benchmarks.window import wait_until_drained, wait_until_ready

__all__ = ["run"]

NAME = "latency"
_POLL_MS = 1000.0  # the interval of a pgqueue worker without LISTEN


def run(bench: Bench) -> list[Row]:
    systems = bench.doing(NAME)

    def waits(
        system: System, kind: str, rate: float, seconds: float, spacing: str, *flags: str
    ) -> list[float]:
        warm_up = 20
        with bench.run(system, int(rate * seconds * 2) + 100) as run:
            with fleet(system, run.environment, flags=flags) as running:
                wait_until_ready(run, running, warm_up)
                answer = call(system, run.database.dsn, "stream", kind, rate, seconds, spacing)
                wait_until_drained(run, running)
            stamps = run.marks.stamps()
            if len(stamps) != warm_up + answer["sent"]:
                raise Failed(f"sent {warm_up + answer['sent']} jobs, {len(stamps)} ran")
            return [stamp.wait_ms for stamp in stamps[warm_up:]]

    def slow(system: System) -> list[float]:
        return waits(system, "stamp", 20, bench.span(10, 1), "even")

    def quick(system: System) -> list[float]:
        return waits(system, "brief", 200, bench.span(6, 1), "random")

    def deaf(system: System) -> list[float]:
        return waits(system, "stamp", 20, bench.span(8, 1), "even", "--no-listen")

    calm, random = bench.in_turn(NAME, systems, slow), bench.in_turn(NAME, systems, quick)
    rows: list[Row] = []
    for system in systems:
        mine = system.name == "pgqueue"
        for results, what, targets in (
            (calm, "20/s", ("<= 3", "<= 8")),
            (random, "200/s at random, 10 ms jobs", (None, "<= 15")),
        ):
            for share, target in zip((0.5, 0.99), targets, strict=True):
                if found := results.get(system.name):
                    times = [percentile(one, share) for one in found]
                    figure = f"p{share * 100:.0f}, {what}"
                    rows.append(
                        row(NAME, system.name, figure, times, "ms", target if mine else None)
                    )
    ours = [system for system in systems if system.name == "pgqueue"]
    for found in bench.in_turn(NAME, ours, deaf).values():
        worst = [max(one) for one in found]
        note = "the poll interval, 1 s, and 50 ms for the claim"
        rows.append(
            row(
                NAME,
                "pgqueue",
                "longest, without LISTEN",
                worst,
                "ms",
                f"<= {_POLL_MS + 50:g}",
                note,
            )
        )
    return rows + bench.failed_rows(NAME)
