"""``pgqueue migrate``: install or upgrade the schema, print the SQL, or check."""

from __future__ import annotations

import click

from pgqueue import admin
from pgqueue.admin.info import SchemaStatus
from pgqueue.cli.exactly import print_exactly
from pgqueue.cli.options import (
    connection_options,
    given_app,
    given_connection,
    json_option,
    open_client,
)
from pgqueue.cli.output import Failed, print_json
from pgqueue.config import schema_from_environment
from pgqueue.db import migrate as migrations
from pgqueue.db.statements import check_schema_name
from pgqueue.dsn import dsn_from_environment
from pgqueue.observe.plain import plain

__all__ = ["migrate"]

_MISSING = 3


@click.command()
@click.option("--sql", is_flag=True, help="Print the SQL of what is missing, for other tools.")
@click.option("--check", is_flag=True, help="Change nothing; exit with 3 if any is missing.")
@json_option
@connection_options
def migrate(sql: bool, check: bool, as_json: bool) -> None:
    """Install or upgrade the schema. Safe to run many times, and by many at once.

    It also repairs what a restore or TRUNCATE has left out, such as the rows of duties.
    --sql prints what is missing in the database, or everything where no dsn is set: SQL that
    neither begins nor commits a transaction, and that may be run twice.
    """
    if sql and (check or as_json):
        raise click.UsageError("give --sql by itself")
    if sql:
        print_exactly(f"{_plan()}\n")
    elif check:
        _check(as_json)
    else:
        _apply(as_json)


def _plan() -> str:
    dsn, schema = given_connection()
    if dsn is None and dsn_from_environment() is None and given_app() is None:
        return migrations.plan(schema or check_schema_name(schema_from_environment()))
    with open_client() as client:
        return client.pool.run(
            lambda c: admin.plan_migrations(c, client.schema), what="migrate", checked=False
        )


def _check(as_json: bool) -> None:
    with open_client() as client:
        found = client.schema_status()
    if as_json:
        print_json(found)
    elif found.ok:
        click.echo(f'schema "{found.schema}" is at version {found.version}')
    if not as_json:
        _list_what_is_to_do(found)
    if found.missing or found.damage:
        click.get_current_context().exit(_MISSING)
    if found.problem:
        raise Failed(found.problem)


def _list_what_is_to_do(found: SchemaStatus) -> None:
    for name in found.missing:
        click.echo(f"missing: {name}")
    for what in found.damage:
        click.echo(plain(f"damage: {what}"))


def _apply(as_json: bool) -> None:
    with open_client(creates=True) as client:
        repaired = client.schema_status().damage
        applied = client.migrate()
        found = client.schema_status()
    repaired = tuple(what for what in repaired if what not in found.damage)
    if as_json:
        print_json({
            "schema": found.schema, "version": found.version, "applied": applied,
            "repaired": repaired,
        })  # fmt: skip
        return
    for name in applied:
        click.echo(f"applied: {name}")
    for what in repaired:
        click.echo(plain(f"repaired: {what}"))
    click.echo(f'schema "{found.schema}" is at version {found.version}')
