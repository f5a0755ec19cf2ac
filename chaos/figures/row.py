"""A line of the table: what was measured, what came out, and the most it may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Row", "most", "spread"]

COUNTS = ("jobs", "processes", "values")


@dataclass(frozen=True, kw_only=True)
class Row:
    """``target``: the most that ``value`` may be.

    ``value`` is None where nothing was measured; ``note`` then says why, and ``skipped`` whether
    this machine could not do it, or the measurement failed.
    """

    figure: str
    value: float | None
    unit: str
    target: float
    note: str = ""
    skipped: bool = False

    @property
    def ok(self) -> bool | None:
        """None if it was skipped."""
        if self.skipped:
            return None
        return self.value is not None and self.value <= self.target

    @property
    def timed(self) -> bool:
        """Whether a slow machine can be the reason for a miss."""
        return self.unit not in COUNTS


def most(figure: str, values: Sequence[float], unit: str, target: float, note: str = "") -> Row:
    """The worst of several; the note says of how many, and their median."""
    said = f"worst of {len(values)}, median {median(values):.3g}"
    worst = max(values)
    return Row(
        figure=figure,
        value=worst,
        unit=unit,
        target=target,
        note=f"{said}; {note}" if note else said,
    )


def spread(
    figure: str, values: Sequence[float], unit: str, *, middle: float, worst: float
) -> list[Row]:
    """Two rows: the median and the worst, each with a target."""
    times = f"of {len(values)}"
    return [
        Row(figure=f"{figure}, median", value=median(values), unit=unit, target=middle, note=times),
        Row(figure=f"{figure}, worst", value=max(values), unit=unit, target=worst, note=times),
    ]
