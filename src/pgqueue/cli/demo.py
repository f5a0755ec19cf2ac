"""``pgqueue demo``: see it at work, on real files, with nothing installed."""

from __future__ import annotations

from pathlib import Path

import click

from pgqueue.cli.options import SECONDS, given_connection, json_option
from pgqueue.dsn import check_dsn

__all__ = ["demo"]


@click.command()
@click.argument("path", required=False, type=click.Path(exists=True, file_okay=False))
@click.option("--dsn", metavar="DSN", help="Use this server; only schemas of its own are made.")
@click.option("--max-files", type=click.IntRange(min=1), help="Take no more files than this.")
@click.option(
    "--keep", is_flag=True, help="Leave the rows, to be looked at; the next run drops them."
)
@click.option("--timeout", type=SECONDS, default=300, show_default=True, help="Give up after this.")
@json_option
def demo(
    path: str | None,
    dsn: str | None,
    max_files: int | None,
    keep: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """See it at work: real files, two tenants, a poison, and a worker killed half-way.

    Every file below PATH, by default Python's standard library, becomes a row and a job in one
    transaction; its job reads it and writes what it found in the transaction that completes the
    job. Nearly all are of a large tenant; a small one with a few takes turns with it. In the end
    SQL checks that each was done exactly once, and that no tenant had more jobs at once than its
    limit. The exit code is 0 only if so.

    It runs on a PostgreSQL of its own, started in a temporary directory, unless --dsn names one;
    PGQUEUE_DSN is not looked at.
    """
    from pgqueue.demo.report import print_json, print_table
    from pgqueue.demo.run import Plan, run

    given_dsn, schema = given_connection()
    if schema is not None:
        raise click.UsageError("the demo makes schemas of its own; leave out --schema")
    report = run(
        Plan(
            path=None if path is None else Path(path),
            dsn=given_dsn if dsn is None else check_dsn(dsn),
            max_files=max_files,
            keep=keep,
            timeout=timeout,
        )
    )
    (print_json if as_json else print_table)(report)
    click.get_current_context().exit(0 if report.ok else 1)
