"""What the matrix comes to: a row a cell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from chaos.figures.table import circumstances
from tests.harness.tables import columns

__all__ = ["Row", "faults_in", "table", "write_report"]


@dataclass(slots=True)
class Row:
    """A cell of the matrix over its runs. ``worst``: from the strike to the last job's end, s."""

    point: str
    action: str
    runs: int = 0
    hits: int = 0
    duplicated: int = 0
    worst: float = 0.0
    violations: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True if each run came to its failpoint, and nothing was violated."""
        return self.hits == self.runs > 0 and not self.violations


def faults_in(rows: Iterable[Row]) -> int:
    """How many faults were injected."""
    return sum(row.hits for row in rows)


def table(rows: Iterable[Row]) -> str:
    """The rows as text, and below them what was violated."""
    rows = list(rows)
    cells = [
        (r.point, r.action, *map(str, (r.runs, r.hits, len(r.violations), r.duplicated)),
         f"{r.worst:.1f}")
        for r in rows
    ]  # fmt: skip
    head = ("point", "action", "runs", "hits", "violations", "again", "worst s")
    lines = columns([head, *cells], right=range(2, len(head)))
    lines.append(
        f"{len({row.point for row in rows})} points, {len(rows)} cells,"
        f" {sum(row.runs for row in rows)} runs, {faults_in(rows)} hits,"
        f" {sum(len(row.violations) for row in rows)} violations,"
        f" {max((row.worst for row in rows), default=0.0):.1f} s at worst"
    )
    for row in rows:
        lines += [f"{row.point} {row.action}: {text}" for text in row.violations[:4]]
    return "\n".join(lines)


def write_report(
    directory: Path, rows: Iterable[Row], *, postgres: str, seed: int, seconds: float
) -> None:
    """Write matrix.md."""
    directory.mkdir(parents=True, exist_ok=True)
    about = circumstances(postgres=postgres, quick=False, seed=seed, seconds=seconds)
    lines = [
        "# The kill matrix",
        "",
        "Made by `python -m chaos.matrix --report docs/chaos`; do not edit. What is killed, stopped"
        " or cut off where,",
        "and what is asked afterwards:"
        " [testing-faults.md](../internals/testing-faults.md#the-kill-matrix).",
        "",
        *(f"- {name}: {value}" for name, value in about.items() if name != "form"),
        "",
        "```",
        table(rows),
        "```",
        "",
    ]
    (directory / "matrix.md").write_text("\n".join(lines))
