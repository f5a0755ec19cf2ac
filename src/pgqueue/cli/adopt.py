"""``pgqueue adopt``: make this database the one that its schema was made for."""

from __future__ import annotations

import click

from pgqueue.cli.options import connection_options, open_client

__all__ = ["adopt"]


@click.command()
@connection_options
def adopt() -> None:
    """Let workers run on this database, which is a copy of another one.

    A worker on a restored copy would run the jobs of the original, so it does not start. Run this
    once where they are to run: after a real restore, a move to another server, or pg_upgrade. On a
    copy for tests, look first at what waits there: pgqueue status.
    """
    with open_client() as client:
        changed = client.adopt()
        schema = client.schema
    click.echo(
        f'schema "{schema}" belongs to this database now'
        if changed
        else f'schema "{schema}" belonged to this database already'
    )
