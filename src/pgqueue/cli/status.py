"""``pgqueue status``: everything at one moment."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Mapping

import click

from pgqueue.admin.health import say_schedules, say_still
from pgqueue.admin.info import Status
from pgqueue.cli.options import SECONDS, connection_options, json_option
from pgqueue.cli.output import Failed, ago, print_json, print_table
from pgqueue.cli.over_cells import Cells, merged, open_cells
from pgqueue.cli.queues import print_queues, print_unserved
from pgqueue.cli.workers import print_workers
from pgqueue.config import check_seconds
from pgqueue.errors import DatabaseError
from pgqueue.observe.plain import plain

__all__ = ["status"]


@click.command()
@click.option("--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
@click.option("--every", type=SECONDS, default=2, show_default=True, help="So often, with --watch.")
@json_option
@connection_options
def status(watch: bool, every: float, as_json: bool) -> None:
    """Show jobs, queues and workers at this moment.

    A count with a plus is a lower bound; one with a tilde is an estimate. --watch clears a terminal
    before each time; into a file or a pipe, one follows the other, with --json as a line each.
    """
    show = _print_object if as_json else _print
    with open_cells() as cells:
        if not watch:
            show(cells, cells.ask(lambda client: client.status()))
            return
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                _look(cells, show)
                time.sleep(check_seconds(every, "every", least=0.1))


def _look(cells: Cells, show: Callable[[Cells, Mapping[str, Status]], None]) -> None:
    """Show it once; a database that is away is said, and asked again the next time."""
    try:
        found = cells.ask(lambda client: client.status())
    except (DatabaseError, Failed) as exc:
        click.echo(plain(exc), err=True)
        return
    click.clear()
    show(cells, found)
    sys.stdout.flush()
    cells.say_away()


def _print_object(cells: Cells, found: Mapping[str, Status]) -> None:
    """Print the status; of several servers, an object with one for each."""
    if not cells.are_several:
        print_json(found[""])
        return
    print_json({**found, **{name: {"error": why} for name, why in cells.away.items()}})


def _print(cells: Cells, found: Mapping[str, Status]) -> None:
    heads = [(cell,) if cells.are_several else () for cell in found]
    print_table(
        (*(("cell",) if cells.are_several else ()), *next(iter(found.values())).jobs),
        [(*head, *one.jobs.values()) for head, one in zip(heads, found.values(), strict=True)],
        empty="",
    )
    click.echo()
    queues = merged({cell: one.queues for cell, one in found.items()}, "name")
    print_queues(queues)
    print_unserved(queues)
    for cell, one in found.items():
        for said in say_still(one.still_flows):
            click.echo(plain(f"{cell}: {said}" if cell else said))
    click.echo()
    print_workers(merged({cell: one.workers for cell, one in found.items()}, "host"))
    for cell, one in found.items():
        _print_rest(f"{cell}: " if cell else "", one)


def _print_rest(cell: str, found: Status) -> None:
    if found.misfits:
        click.echo()
        columns = ("task", f"{cell}jobs that wait for a worker that their arguments fit")
        print_table(columns, tuple(found.misfits.items()), empty="")
    due = found.next_due_seconds
    if due is not None:
        overdue = due < 0
        click.echo()
        click.echo(
            plain(f"{cell}next scheduled job: {'overdue by' if overdue else 'in'} {ago(abs(due))}")
        )
    for said in say_schedules(found):
        click.echo()
        click.echo(plain(f"{cell}{said}"))
    if found.copy_of is not None:
        click.echo()
        said = f"{found.copy_of}: no worker starts here; see: pgqueue adopt --help"
        click.echo(plain(f"{cell}{said}"))
    if found.damage:
        click.echo()
        click.echo(plain(f"{cell}damage, which pgqueue migrate repairs:"))
        for what in found.damage:
            click.echo(plain(f"  {what}"))
