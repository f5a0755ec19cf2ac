"""``pgqueue status``: everything at one moment."""

from __future__ import annotations

import click

from pgqueue.cli.options import connection_options, json_option, open_client
from pgqueue.cli.output import ago, print_json, print_table
from pgqueue.cli.queues import print_queues
from pgqueue.cli.workers import print_workers
from pgqueue.observe.plain import plain

__all__ = ["status"]


@click.command()
@json_option
@connection_options
def status(as_json: bool) -> None:
    """Show jobs, queues and workers at this moment.

    A count with a plus is a lower bound; one with a tilde is an estimate.
    """
    with open_client() as client:
        found = client.status()
    if as_json:
        print_json(found)
        return
    print_table(tuple(found.jobs), [tuple(found.jobs.values())], empty="")
    click.echo()
    print_queues(found.queues)
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
    if found.copy_of is not None:
        click.echo()
        click.echo(f"{plain(found.copy_of)}: no worker starts here; see: pgqueue adopt --help")
    if found.damage:
        click.echo()
        click.echo("damage, which pgqueue migrate repairs:")
        for what in found.damage:
            click.echo(plain(f"  {what}"))
