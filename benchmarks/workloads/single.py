"""Jobs enqueued one after another, each in a transaction of its own: what the caller waits."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.rows import Row, median, percentile, row
from benchmarks.systems.base import Failed, System, call

__all__ = ["run"]

NAME = "single"
_WARM_UP = 50
_VARIANTS = {
    "pgqueue": ("async", "sync", "pool"),
    "baseline": ("async", "sync"),
}
_KINDS = {"async": "asyncpg connection", "sync": "psycopg connection", "pool": "own pool, async"}


def run(bench: Bench) -> list[Row]:
    count = bench.size(bench.jobs or 500, min(bench.jobs or 100, 200))
    systems = bench.doing(NAME)

    def turn(system: System) -> dict[str, tuple[float, float]]:
        found: dict[str, tuple[float, float]] = {}
        for variant in _VARIANTS.get(system.name, ("usual",)):
            with bench.run(system, count + _WARM_UP) as run:
                answer = call(system, run.database.dsn, "single", variant, count, _WARM_UP)
                if (there := run.unfinished()) != count + _WARM_UP:
                    raise Failed(f"enqueued {count + _WARM_UP} jobs, found {there}")
            times = [1e3 * seconds for seconds in answer["seconds"]]
            found[variant] = percentile(times, 0.5), percentile(times, 0.99)
        return found

    results = bench.in_turn(NAME, systems, turn)
    rows: list[Row] = []
    for name, found in results.items():
        for variant in found[0] if found else ():
            kind = _KINDS.get(variant, "usual call")
            for n, figure in enumerate(("p50", "p99")):
                times = [times[variant][n] for times in found]
                rows.append(row(NAME, name, f"enqueue {figure}, {kind}", times, "ms"))
    mine, bare = results.get("pgqueue"), results.get("baseline")
    for variant in ("async", "sync") if mine else ():
        assert mine is not None
        ratio = (
            median([times[variant][0] for times in mine])
            / median([times[variant][0] for times in bare])
            if bare
            else None
        )
        figure = f"enqueue p50 / bare INSERT, {_KINDS[variant]}"
        note = "" if bare else "the baseline was not measured"
        rows.append(row(NAME, "pgqueue", figure, ratio, "x", "<= 1.25", note))
    return rows + bench.failed_rows(NAME)
