"""Rows as text: for the terminal, and as markdown."""

from __future__ import annotations

from collections.abc import Sequence

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
    lines = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(_HEAD))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if n == 3 else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown(rows: Sequence[Row]) -> str:
    """A table without the column of the workload."""
    lines = ["| " + " | ".join(_HEAD[1:]) + " |", "|---|---|---:|---|---|---|---|"]
    for row in rows:
        cells = [cell.replace("|", "\\|") for cell in _cells(row, longest=200)[1:]]
        if cells[5] in ("SHORT", "FAILED", "not measured"):
            cells[5] = f"**{cells[5].lower()}**"
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
