"""Rows of cells as text: columns of equal width for a terminal, and markdown."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

__all__ = ["columns", "markdown"]


def columns(lines: Iterable[Sequence[str]], *, right: Container[int] = ()) -> list[str]:
    """Return each line with its cells padded, two spaces apart. ``right``: numbers of columns
    that are aligned to the right."""
    lines = list(lines)
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if n in right else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def markdown(
    head: Sequence[str], lines: Iterable[Sequence[str]], *, right: Container[int] = ()
) -> list[str]:
    """Return the lines of a table with this head."""
    rule = ["---:" if n in right else "---" for n in range(len(head))]
    body = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return [
        f"| {' | '.join(head)} |",
        f"|{'|'.join(rule)}|",
        *(f"| {' | '.join(c)} |" for c in body),
    ]
