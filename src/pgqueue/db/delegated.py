"""The function that Citus runs on the node of a row, so that its jobs are enqueued there."""

from __future__ import annotations

from pgqueue.db.statements import quote_identifier, quote_literal

__all__ = ["delegated_sql"]

_TEXT = """\
-- pgqueue: enqueues on the node that holds the rows of {table} with this {column}, in the caller's
-- transaction. For the coordinator, once. Each node needs a schema {schema} of its own.
create or replace function {name}({parameter} {type}, jobs jsonb) returns jsonb
language plpgsql as $body$
begin{notify}
    return (select pg_catalog.jsonb_agg(one.id) from {schema}.enqueue(jobs) as one);
end;
$body$;

select create_distributed_function(
    {signature}, {argument}, colocate_with => {colocated}, force_delegation => true);
"""
_NOTIFY = """
    -- Each transaction is of one node, so Citus does not prepare it.
    perform pg_catalog.set_config('pgqueue.notify', 'on', true);"""


def delegated_sql(
    schema: str, *, table: str, column: str, type_: str, function: str, one_node: bool
) -> str:
    """Return the SQL of the function and of its distribution.

    ``table``: as the user writes it. ``one_node``: a transaction never takes two nodes, so that
    workers may be notified.
    """
    parameter = "tenant" if column == "jobs" else column
    name = quote_identifier(function)
    return _TEXT.format(
        table=" ".join(table.split()), column=" ".join(column.split()),
        schema=quote_identifier(schema), name=name, parameter=quote_identifier(parameter),
        type=type_, notify=_NOTIFY if one_node else "",
        signature=quote_literal(f"{name}({type_}, jsonb)"), argument=quote_literal(parameter),
        colocated=quote_literal(table),
    )  # fmt: skip
