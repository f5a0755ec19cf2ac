"""``pgqueue status``: everything at one moment."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable

import click

from pgqueue.admin.health import say_schedules, say_still
from pgqueue.admin.info import Status
from pgqueue.cli.options import SECONDS, connection_options, json_option, open_client
from pgqueue.cli.output import ago, print_json, print_table
from pgqueue.cli.queues import print_queues, print_unserved
from pgqueue.cli.workers import print_workers
from pgqueue.client import Client
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
    show = print_json if as_json else _print
    with open_client() as client:
        if not watch:
            show(client.status())
            return
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                _look(client, show)
                time.sleep(check_seconds(every, "every", least=0.1))


def _look(client: Client, show: Callable[[Status], None]) -> None:
    """Show it once; a database that is away is said, and asked again the next time."""
    try:
        found = client.status()
    except DatabaseError as exc:
        click.echo(plain(exc), err=True)
        return
    click.clear()
    show(found)
    sys.stdout.flush()


def _print(found: Status) -> None:
    print_table(tuple(found.jobs), [tuple(found.jobs.values())], empty="")
    click.echo()
    print_queues(found.queues)
    print_unserved(found.queues)
    for said in say_still(found.still_flows):
        click.echo(plain(said))
    click.echo()
    print_workers(found.workers)
    if found.misfits:
        click.echo()
        columns = ("task", "jobs that wait for a worker that their arguments fit")
        print_table(columns, tuple(found.misfits.items()), empty="")
    due = found.next_due_seconds
    if due is not None:
        overdue = due < 0
        click.echo()
        click.echo(f"next scheduled job: {'overdue by' if overdue else 'in'} {ago(abs(due))}")
    for said in say_schedules(found):
        click.echo()
        click.echo(plain(said))
    if found.copy_of is not None:
        click.echo()
        click.echo(f"{plain(found.copy_of)}: no worker starts here; see: pgqueue adopt --help")
    if found.damage:
        click.echo()
        click.echo("damage, which pgqueue migrate repairs:")
        for what in found.damage:
            click.echo(plain(f"  {what}"))
