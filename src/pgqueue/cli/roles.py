"""``pgqueue roles``: print the SQL that gives each part of a system its own role."""

from __future__ import annotations

import click

from pgqueue.cli.exactly import print_exactly
from pgqueue.cli.options import connection_options, given_connection
from pgqueue.config import schema_from_environment
from pgqueue.db.roles import roles_sql

__all__ = ["roles"]


@click.command()
@click.option("--prefix", help="Names begin with this [default: the schema's name].")
@connection_options
def roles(prefix: str | None) -> None:
    """Print SQL that makes roles: owner, producer, worker, operator, viewer.

    It is for psql, and connects to nothing: pgqueue roles | psql. Run it again after each
    migration. Then give the roles to those who log in: grant pgqueue_worker to shop.
    """
    _, schema = given_connection()
    print_exactly(roles_sql(schema or schema_from_environment(), prefix))
