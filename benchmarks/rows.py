"""One figure of one system: a row of the table, an object of the JSON."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Row", "median", "percentile", "ratio", "row"]

_HOLDS = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class Row:
    """``target`` reads ">= 1.3"; ``ok`` is None without one, and False for a run that failed."""

    workload: str
    system: str
    figure: str
    value: float | None
    unit: str
    target: str | None = None
    ok: bool | None = None
    note: str = ""
    samples: tuple[float, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def row(
    workload: str,
    system: str,
    figure: str,
    samples: float | Sequence[float] | None,
    unit: str,
    target: str | None = None,
    note: str = "",
) -> Row:
    """Make a row of the median of the samples; a figure that was not measured is not ok."""
    if samples is None:
        return Row(workload, system, figure, None, unit, target, None, note)
    values = [float(samples)] if isinstance(samples, (int, float)) else list(map(float, samples))
    value = round_to(median(values), 4)
    ok = None
    if target is not None:
        sign, limit = target.split()
        ok = bool(_HOLDS[sign](value, float(limit.replace(",", ""))))
    kept = tuple(round_to(one, 4) for one in values)
    return Row(workload, system, figure, value, unit, target, ok, note, kept)


def ratio(rows: Sequence[Row], figure: str, one: str, other: str, target: str) -> list[Row]:
    """Make a row of one figure of pgqueue to another; none if one of them was not measured."""
    ours = {row.figure: row for row in rows if row.system == "pgqueue" and row.value}
    if one not in ours or other not in ours:
        return []
    pairs = zip(ours[one].samples, ours[other].samples, strict=True)
    shares = [a / b for a, b in pairs]
    return [row(ours[one].workload, "pgqueue", figure, shares, "x", target)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of the values does not exceed."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * len(ordered) * 1000) // 1000) - 1))]


def round_to(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}") if value < 10**digits else float(round(value))
