"""The end of a demo: a table for people, one JSON object for programs; both say the same."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pgqueue.demo.killer import Killed
from pgqueue.demo.scan import Found
from pgqueue.demo.verdict import Sample, Verdict
from pgqueue.observe.plain import plain

__all__ = ["Report", "print_json", "print_table"]

_PIPE_WIDTH = 1000


@dataclass(frozen=True, slots=True)
class Report:
    """All that a run came to."""

    found: Found
    poison: str
    killed: Killed | None
    verdict: Verdict
    sample: Sample

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, doubled or wrong."""
        verdict = self.verdict
        return (
            verdict.exactly_once
            and not verdict.lost
            and not verdict.doubled
            and verdict.run_again == verdict.held
            and not self.sample.wrong
        )


def print_json(report: Report) -> None:
    """Print one object."""
    verdict = report.verdict
    rate = verdict.jobs_per_second
    fields = {
        "enqueued": verdict.enqueued,
        "completed": verdict.completed,
        "retried": verdict.retried,
        "dead": verdict.dead,
        "rescued": verdict.rescued,
        "lost": verdict.lost,
        "exactly_once": verdict.exactly_once,
        "rescue_seconds": _rounded(verdict.rescue_seconds, 3),
        "jobs_per_second": _rounded(rate, 1),
    }
    print(json.dumps(fields), flush=True)  # noqa: T201


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def print_table(report: Report) -> None:
    """Print a row for each number, and what it stands for."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("")
    table.add_column("", justify="right")
    table.add_column("", overflow="fold", style="dim")
    for name, value, about in _rows(report):
        bad = name in ("lost", "doubled", "wrong") and value != "0"
        good = name == "exactly once" and value == "yes"
        style = "bold red" if bad or value == "NO" else "bold green" if good else ""
        table.add_row(name, Text(value, style=style), plain(about))
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(table)


def _rows(report: Report) -> list[tuple[str, str, str]]:
    verdict, sample, killed = report.verdict, report.sample, report.killed
    rows = [
        ("enqueued", f"{verdict.enqueued}", f"files below {report.found.root}, each with its row"),
        ("completed", f"{verdict.completed}", _read(verdict)),
        ("retried", f"{verdict.retried}", f"the poison, {report.poison}"),
        ("dead", f"{verdict.dead}", "the poison, out of attempts"),
        ("rescued", f"{verdict.rescued}", _rescued(killed)),
        ("started twice", f"{verdict.started_twice}", "of those; the first start wrote nothing"),
        ("lost", f"{verdict.lost}", "files without a result"),
        ("doubled", f"{verdict.doubled}", "files with more than one result"),
        ("exactly once", "yes" if verdict.exactly_once else "NO", "one job and one result a file"),
        ("seconds to rescue", _number(verdict.rescue_seconds, 2), "from the kill until the last of "
         f"its jobs ran again ({verdict.run_again} of {verdict.held})"),
        ("jobs/s", _number(verdict.jobs_per_second, 0), "from the first enqueued to the last result"),
        ("wrong", f"{sample.wrong}", f"of {sample.read} files read again and compared"),
    ]  # fmt: skip
    if sample.changed:
        rows.append(("changed", f"{sample.changed}", "of those, since they were first read"))
    if verdict.unreadable:
        rows.append(("unreadable", f"{verdict.unreadable}", "their results say why"))
    if report.found.left_out:
        rows.append(
            ("left out", f"{report.found.left_out}", "no regular file, or a name not UTF-8")
        )
    return rows


def _read(verdict: Verdict) -> str:
    return (
        f"{verdict.bytes / 1e6:.1f} MB read, {verdict.lines} lines, "
        f"{verdict.compressed / 1e6:.1f} MB compressed"
    )


def _rescued(killed: Killed | None) -> str:
    if killed is None:
        return "no worker was killed: one file is too few"
    return f"held by worker {killed.pid} when it was killed, {killed.running} of them running"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
