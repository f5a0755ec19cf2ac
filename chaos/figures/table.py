"""The table of figures: as text, as markdown with its circumstances, as JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pgqueue
from chaos.figures.row import Row
from tests.harness.machine import describe
from tests.harness.tables import columns, markdown

__all__ = ["as_text", "circumstances", "write_json", "write_report"]

_HEADS = ("figure", "value", "target", "")


def circumstances(*, postgres: str, quick: bool, seed: int, seconds: float) -> dict[str, Any]:
    """Where and when."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": describe(),
        "versions": f"pgqueue {pgqueue.__version__}, PostgreSQL {postgres},"
        f" Python {platform.python_version()}",
        "form": "quick: shortened waits, fewer rounds" if quick else "full",
        "seed": seed,
        "seconds": round(seconds),
    }


def _cells(row: Row) -> tuple[str, str, str, str]:
    if row.value is None:
        value = "skipped" if row.skipped else "none"
    else:
        value = f"{_number(row.value)} {row.unit}".strip()
    said = {True: "met", False: "MISSED", None: "-"}[row.ok]
    return row.figure, value, f"<= {_number(row.target)} {row.unit}".strip(), said


def _number(value: float) -> str:
    if value == int(value):
        return f"{int(value)}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def as_text(rows: Iterable[Row]) -> str:
    """Lines of equal width, and the notes below what they belong to."""
    lines = columns([_HEADS, *map(_cells, rows := list(rows))])
    notes = ["", *(row.note for row in rows)]
    return "\n".join(
        f"{line}\n    {said}" if said else line for line, said in zip(lines, notes, strict=True)
    )


def write_json(path: Path, rows: Iterable[Row], about: Mapping[str, Any]) -> None:
    found = [{**vars(row), "ok": row.ok} for row in rows]
    path.write_text(json.dumps({"about": dict(about), "rows": found}, indent=1) + "\n")


def write_report(directory: Path, rows: Iterable[Row], about: Mapping[str, Any]) -> None:
    """Write figures.md and figures.json."""
    rows = list(rows)
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "figures.json", rows, about)
    lines = [
        "# Recovery, in figures",
        "",
        "Made by `python -m chaos.figures --report docs/chaos`; do not edit. All at default"
        " settings,",
        "each with real `pgqueue worker` processes. What is measured and how:",
        "[testing-faults.md](../internals/testing-faults.md#recovery-in-figures).",
        "",
        *(f"- {name}: {value}" for name, value in about.items()),
        "",
        *markdown((*_HEADS, ""), [(*_cells(row), row.note) for row in rows]),
        "",
    ]
    (directory / "figures.md").write_text("\n".join(lines))
