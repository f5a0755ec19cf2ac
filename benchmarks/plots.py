"""The figures that one compares, as bars."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench import say
from benchmarks.rows import Row

__all__ = ["draw"]

# Which figures have a picture, and whether more is better.
_PICTURES = {
    "drain": (("1 worker", "more"), ("2 workers", "more"), ("worker + server CPU per job", "less")),
    "bulk": (("bulk enqueue", "more"),),
    "single": (("p50", "less"),),
    "contention": (("32 clients, one row each", "more"),),
    "latency": (("p99, 20/s", "less"),),
    "mixed": (("p99", "less"),),
    "payload": (("drain, 2 kB", "more"),),
    "flat": (("held snapshot, last round / first", "more"),),
    "many": ((" / ", "more"),),
    "io": (("50 ms of sleep", "more"),),
    "idle": (("worker CPU", "less"),),
    "fleet": (("single enqueues of 5 callers", "more"),),
}
_OURS, _THEIRS = "#1f6f54", "#b0b7bd"


def draw(directory: Path, rows: Sequence[Row]) -> dict[str, list[str]]:
    """Draw what there is; return the names of the files by workload."""
    if importlib.util.find_spec("matplotlib") is None:
        say("no plots: matplotlib is not installed; `make bench` installs it")
        return {}
    made: dict[str, list[str]] = {}
    for workload, pictures in _PICTURES.items():
        for number, (figure, better) in enumerate(pictures, 1):
            found = [
                row
                for row in rows
                if row.workload == workload and row.value is not None and _is(row.figure, figure)
            ]
            if found:
                name = f"{workload}-{number}.png" if len(pictures) > 1 else f"{workload}.png"
                _bars(directory / name, found, f"{workload}: {figure.strip(' /')}", better)
                made.setdefault(workload, []).append(name)
    return made


def _is(figure: str, wanted: str) -> bool:
    if wanted in ("1 worker", "2 workers", "bulk enqueue", "32 clients, one row each"):
        return figure == wanted
    return wanted in figure and (" / " in wanted or " / " not in figure)


def _bars(path: Path, rows: list[Row], title: str, better: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    several = len({row.figure for row in rows}) > 1
    labels = [f"{row.system}: {row.figure}" if several else row.system for row in rows]
    order = sorted(range(len(rows)), key=lambda n: rows[n].value or 0, reverse=better == "more")
    picture = Figure(figsize=(8, 0.6 + 0.34 * len(rows)), dpi=120, layout="constrained")
    FigureCanvasAgg(picture)
    axes = picture.subplots()
    values = [rows[n].value or 0.0 for n in order]
    colours = [_OURS if rows[n].system == "pgqueue" else _THEIRS for n in order]
    bars = axes.barh([labels[n] for n in order], values, color=colours)
    axes.bar_label(
        bars,
        labels=[f"{value:,.3g}" if value < 1000 else f"{value:,.0f}" for value in values],
        padding=3,
    )
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_title(f"{title} ({better} is better)", loc="left", fontsize=10)
    axes.set_xlabel(rows[0].unit)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    picture.savefig(path)
