"""``pgqueue cells``: the function through which Citus enqueues where the data is."""

from __future__ import annotations

import re

import click

from pgqueue.cli.exactly import print_exactly
from pgqueue.cli.group import Group
from pgqueue.cli.options import connection_options, given_names
from pgqueue.config import schema_from_environment
from pgqueue.db.delegated import delegated_sql
from pgqueue.db.statements import check_schema_name
from pgqueue.errors import ConfigError

__all__ = ["cells"]


@click.group(cls=Group)
@connection_options
def cells() -> None:
    """Queues on the nodes of Citus."""


@cells.command()
@click.option("--table", required=True, help="The distributed table, as shop.data.")
@click.option("--column", required=True, help="Its distribution column.")
@click.option("--type", "type_", default="bigint", show_default=True, help="The column's type.")
@click.option("--function", default="enqueue_at", show_default=True, help="The function's name.")
@click.option("--one-node", is_flag=True, help="Notify: each transaction is of one node.")
@connection_options
def sql(table: str, column: str, type_: str, function: str, one_node: bool) -> None:
    """Print the SQL of a function that enqueues on the node of a row.

    It is for psql on the coordinator, once, and connects to nothing. The schema of the queue has to
    be on each node: pgqueue migrate --dsn postgresql://node1/shop
    """
    if re.fullmatch(r"[A-Za-z_][\w ]*(\(\d+(,\s*\d+)?\))?", type_) is None:
        raise ConfigError(f'"{type_}" is no type of a column; write bigint, text, uuid')
    _, schema = given_names()
    text = delegated_sql(
        check_schema_name(schema or schema_from_environment()),
        table=table, column=column, type_=type_, function=function, one_node=one_node,
    )  # fmt: skip
    print_exactly(text)
