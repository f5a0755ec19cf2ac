"""Rows as text: for the terminal, and as markdown."""

from __future__ import annotations

from collections.abc import Sequence

from tests.harness import tables
from tests.harness.tables import columns

from benchmarks.rows import Row

__all__ = ["markdown", "number", "terminal"]

_HEAD = ("workload", "system", "figure", "value", "unit", "target", "", "note")


def number(value: float | None) -> str:
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _cells(row: Row, *, longest: int = 70) -> tuple[str, ...]:
    mark = {True: "ok", False: "SHORT" if row.target else "FAILED", None: ""}[row.ok]
    if row.target and row.value is None:
        mark = "not measured"
    target = row.target or ""
    note = " ".join(row.note.split())
    note = note if len(note) <= longest else note[: longest - 1] + "…"
    return (row.workload, row.system, row.figure, number(row.value), row.unit, target, mark, note)


def terminal(rows: Sequence[Row]) -> str:
    return "\n".join(columns([_HEAD, *map(_cells, rows)], right=(3,)))


def markdown(rows: Sequence[Row]) -> str:
    """A table without the column of the workload."""
    lines: list[list[str]] = []
    for row in rows:
        cells = list(_cells(row, longest=200)[1:])
        if cells[5] in ("SHORT", "FAILED", "not measured"):
            cells[5] = f"**{cells[5].lower()}**"
        lines.append(cells)
    return "\n".join(tables.markdown(_HEAD[1:], lines, right=(2,)))
