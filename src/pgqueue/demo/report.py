"""The end of a demo: a table for people, one JSON object for programs; both say the same."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pgqueue.demo.killer import Killed
from pgqueue.demo.names import AT_ONCE, EVERY, LARGE, SCHEDULE, SMALL
from pgqueue.demo.scan import Found
from pgqueue.demo.tenants import Tenant
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
    tenants: dict[str, Tenant]
    sample: Sample

    @property
    def most_at_once(self) -> int:
        """The largest number of jobs of one tenant that ran at the same moment."""
        return max((tenant.most_at_once for tenant in self.tenants.values()), default=0)

    @property
    def above_limit(self) -> int:
        """Jobs that began although their tenant was at its limit."""
        return sum(tenant.above for tenant in self.tenants.values())

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, doubled, wrong or above a limit."""
        verdict = self.verdict
        return (
            verdict.exactly_once
            and not verdict.lost
            and not verdict.doubled
            and verdict.slots_once
            and verdict.run_again == verdict.held
            and not self.above_limit
            and not self.sample.wrong
        )


def print_json(report: Report) -> None:
    """Print one object."""
    verdict, small = report.verdict, report.tenants.get(SMALL)
    fields = {
        "enqueued": verdict.enqueued,
        "completed": verdict.completed,
        "retried": verdict.retried,
        "dead": verdict.dead,
        "rescued": verdict.rescued,
        "lost": verdict.lost,
        "exactly_once": verdict.exactly_once,
        "slots": verdict.slots,
        "slots_once": verdict.slots_once,
        "most_at_once": report.most_at_once,
        "above_limit": report.above_limit,
        "small_wait_median": _rounded(small and small.median_wait, 3),
        "small_wait_worst": _rounded(small and small.worst_wait, 3),
        "rescue_seconds": _rounded(verdict.rescue_seconds, 3),
        "jobs_per_second": _rounded(verdict.jobs_per_second, 1),
    }
    click.echo(json.dumps(fields))


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def print_table(report: Report) -> None:
    """Print a row for each number, and what it stands for."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(overflow="fold", style="dim")
    for name, value, about in _rows(report):
        table.add_row(name, Text(value, style=_style(name, value)), plain(about))
    console = Console(file=sys.stdout, highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))


def _style(name: str, value: str) -> str:
    if name == "exactly once":
        return "bold green" if value == "yes" else "bold red"
    if name in ("lost", "doubled", "wrong", "above the limit"):
        return "green" if value == "0" else "bold red"
    return "bold"


def _rows(report: Report) -> Iterator[tuple[str, str, str]]:
    verdict, sample, killed = report.verdict, report.sample, report.killed
    yield "enqueued", f"{verdict.enqueued}", "each in the transaction of its file's row"
    yield "completed", f"{verdict.completed}", _work(verdict)
    yield (
        "retried",
        f"{verdict.retried}",
        f"after an error; the poison: {report.found.relative(report.poison)}",
    )
    yield "dead", f"{verdict.dead}", _dead(verdict)
    yield "rescued", f"{verdict.rescued}", _rescued(killed)
    yield "started twice", f"{verdict.started_twice}", "of those: started, killed, started again"
    yield "lost", f"{verdict.lost}", "files without a result"
    yield "doubled", f"{verdict.doubled}", "files with more than one result"
    once = "yes" if verdict.exactly_once else "NO"
    yield "exactly once", once, "in SQL: for each file one job and one result"
    yield "wrong", f"{sample.wrong}", f"of {sample.read} files read again and compared"
    yield "slots", f"{verdict.slots}", _slots(verdict)
    yield from _limits(report)
    again = "from the kill until its last job ran again"
    yield "seconds to rescue", _number(verdict.rescue_seconds, 2), again
    rate = "from the first row to the last result"
    yield "jobs/s", _number(verdict.jobs_per_second, 0), rate
    if sample.changed:
        yield "changed", f"{sample.changed}", "of those read again, since they were first read"
    if verdict.unreadable:
        yield "unreadable", f"{verdict.unreadable}", "files; their results say why"
    if report.found.left_out:
        yield "left out", f"{report.found.left_out}", "not regular files, or names not in UTF-8"


def _limits(report: Report) -> Iterator[tuple[str, str, str]]:
    large, small = report.tenants.get(LARGE), report.tenants.get(SMALL)
    most = f"jobs of one tenant; its limit is {AT_ONCE}"
    yield "most at once", f"{report.most_at_once}", most
    above = "jobs that began beyond it; in SQL, also at the kill"
    yield "above the limit", f"{report.above_limit}", above
    if large and small:
        each = f"seconds to start (median); its {small.files} jobs"
        yield "small waits", _number(small.median_wait, 2), each
        worst = "seconds; the one of them that waited longest"
        yield "at worst", _number(small.worst_wait, 2), worst
        line = f"seconds to start (median); its {large.files} jobs, all in line"
        yield "large waits", _number(large.median_wait, 2), line


def _work(verdict: Verdict) -> str:
    return (
        f"{verdict.bytes / 1e6:.1f} MB with {verdict.lines} lines, "
        f"{verdict.compressed / 1e6:.1f} MB when compressed"
    )


def _dead(verdict: Verdict) -> str:
    others = verdict.dead - 1
    return "out of attempts: the poison" + (f", and {others} others" if others > 0 else "")


def _slots(verdict: Verdict) -> str:
    what = "each has one job" if verdict.slots_once else "NOT each has one job"
    return f'of the schedule "{SCHEDULE}", every {EVERY} s; {what}'


def _rescued(killed: Killed | None) -> str:
    if killed is None:
        return "no worker was killed: that takes two files"
    return f"held by worker {killed.pid} when killed; it ran {killed.running}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
