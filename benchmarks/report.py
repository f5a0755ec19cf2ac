"""docs/benchmarks: the tables as markdown, the plots, the raw figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.harness import tables

from benchmarks import workloads
from benchmarks.plots import draw
from benchmarks.rows import Row
from benchmarks.table import markdown

__all__ = ["write_report"]

_OPENING = """\
# Benchmarks

Made by `make bench`; do not edit. `python -m benchmarks WORKLOAD --report docs/benchmarks` puts a
new run of one workload beside the others: each says when it was run. One machine, one day: only
ratios within one run mean anything on another. All systems ran on one PostgreSQL, in turn (A B A
B), each in a database of its own made for the run; a value is the median of the rounds. A run in
which a job was lost or ran twice has no figure. A figure that says `kindest` was measured after
VACUUM ANALYZE, with the settings that `python -m benchmarks.sweep` found best for this system; the
others with those that its documentation recommends, on a table filled a moment ago.

`fleet` takes about as long as all others together: `make bench` leaves it out and keeps its former
figures.

**What is not alike.** Some delete a job when it is done and some keep it; some hold a lease, some
wait for a timeout; for some the latency is a poll. Each system's row at the end says which. Bulk
and single enqueue are measured in each system's own language, its client's own work included. The
workers and the server share the same cores.
"""


def write_report(
    directory: Path, facts: dict[str, Any], rows: Sequence[Row], *, complete: bool
) -> None:
    """Write README.md, results.json and the plots; ``complete`` if all workloads were run.

    One that was run by itself takes the place of its former figures, beside the others'. Those that
    a complete run leaves out keep theirs.
    """
    directory.mkdir(parents=True, exist_ok=True)
    raw = directory / "results.json"
    runs = {row.workload: {"date": facts["date"], "revision": facts["revision"]} for row in rows}
    if raw.exists():
        former = json.loads(raw.read_text())
        stay = workloads.APART if complete else workloads.NAMES
        kept = [
            Row(**row | {"samples": tuple(row["samples"])})
            for row in former["rows"]
            if row["workload"] in stay and row["workload"] not in runs
        ]
        runs = {name: run for name, run in former["runs"].items() if name in stay} | runs
        rows = sorted([*kept, *rows], key=lambda row: workloads.NAMES.index(row.workload))
        named = {row.system for row in kept}
        for of in ("systems", "not_installed"):
            said = former["machine"][of]
            if complete:
                said = {name: about for name, about in said.items() if name in named}
            facts = facts | {of: said | facts[of]}
    as_json = {"machine": facts, "runs": runs, "rows": [row.as_json() for row in rows]}
    raw.write_text(json.dumps(as_json, indent=1, ensure_ascii=False) + "\n")
    plots = draw(directory, rows)
    parts = [_OPENING, _machine(facts), _targets(rows)]
    for name in workloads.NAMES:
        mine = [row for row in rows if row.workload == name]
        if mine:
            doc = (
                __import__(f"benchmarks.workloads.{name}", fromlist=["run"]).__doc__ or ""
            ).strip()
            when = f"Run at {runs[name]['date']}, pgqueue at {runs[name]['revision']}."
            pictures = "".join(f"\n![{name}]({plot})\n" for plot in plots.get(name, ()))
            parts.append(f"## {name}\n\n{doc}\n\n{when}\n{pictures}\n{markdown(mine)}\n")
        elif complete:
            parts.append(f"## {name}\n\nnot run\n")
    parts.append(_systems(facts))
    (directory / "README.md").write_text("\n".join(parts))


def _machine(facts: dict[str, Any]) -> str:
    settings = ", ".join(f"`{name} = {value}`" for name, value in facts["settings"].items())
    return f"""\
| | |
|---|---|
| date of the last run | {facts["date"]} |
| machine | {facts["cpu"]}, {facts["memory_gb"]} GB, {facts["system"]} |
| a synced 8 kB write | {facts["fdatasync_ms"]} ms |
| load average at the end | {facts["load"]:.2f} |
| pgqueue at | {facts["revision"]}, Python {facts["python"]} |
| PostgreSQL | {facts["postgresql"]}: {settings} |
"""


def _targets(rows: Sequence[Row]) -> str:
    aimed = [row for row in rows if row.target]
    met = sum(row.ok is True for row in aimed)
    return f"## Targets\n\n{met} of {len(aimed)} met.\n\n{_with_workload(aimed)}\n"


def _with_workload(rows: Sequence[Row]) -> str:
    lines = markdown(rows).splitlines()
    lines[0] = "| workload " + lines[0]
    lines[1] = "|---" + lines[1]
    body = [f"| {row.workload} {line}" for row, line in zip(rows, lines[2:], strict=True)]
    return "\n".join([*lines[:2], *body])


def _systems(facts: dict[str, Any]) -> str:
    lines = [
        *((n, a["version"], _settings(a), a["about"]) for n, a in facts["systems"].items()),
        *((name, "not installed", "", why) for name, why in facts["not_installed"].items()),
    ]
    table = tables.markdown(("system", "version", "settings", "what to know"), lines)
    return "\n".join(["## Systems", "", *table, ""])


def _settings(about: dict[str, Any]) -> str:
    kindest = ", ".join(f"`{name}={value}`" for name, value in about.get("kindest", {}).items())
    return about["settings"] + (f"; kindest: {kindest}" if kindest else "")
