"""Databases whose search_path is against us; see hostile.sql for the traps in them.

PGQUEUE_TEST_SEARCH_PATH in the environment lays it on every database of the whole suite.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from psycopg import sql

from tests.harness.servers import Server

__all__ = ["OURS", "PATHS", "TRAP", "asked_for", "caught", "lay", "set_path"]

TRAP = "trap"
# What follows from the name that is asked for. With "better", pg_catalog comes first, as it does
# where nobody says otherwise; then only traps that fit better than what is in it can be called.
PATHS = {
    "empty": "''",
    "hostile": f"{TRAP}, pg_catalog, public",
    "better": f'"$user", public, {TRAP}',
}
# All but the driver's own look at types that it meets for the first time.
ANYBODY = "current_query() not like '%typeinfo_tree%'"
# Statements of ours alone, which quote the schema: on our own connections, and enqueues on others'.
# The tests' own fake workers have no connection as a worker makes it.
OURS = (
    "(current_setting('application_name') like 'pgqueue%' and current_query() like '%\"pgqueue\".%'"
    " or current_query() ~ '\"pgqueue\".(enqueue|new_job)|plan_cache_mode')"
    f" and {ANYBODY}"
)
_SQL = Path(__file__).with_suffix(".sql").read_text("utf-8")


def asked_for() -> str | None:
    """The name in PGQUEUE_TEST_SEARCH_PATH, if any."""
    name = os.environ.get("PGQUEUE_TEST_SEARCH_PATH") or None
    assert name is None or name in PATHS, f"PGQUEUE_TEST_SEARCH_PATH is one of {', '.join(PATHS)}"
    return name


def lay(server: Server, database: str, guilty: str = ANYBODY) -> None:
    """Put the traps into a database; they tell of queries that fulfil the condition."""
    with server.connect(database) as connection:
        connection.execute("set search_path = pg_catalog")
        connection.execute(re.sub(r":trap\b", TRAP, _SQL).replace(":guilty", guilty).encode())


def set_path(server: Server, database: str, name: str) -> None:
    """Make a path of PATHS the default of a database's sessions."""
    server.execute(
        sql.SQL("alter database {} set search_path = {}").format(
            sql.Identifier(database),
            sql.SQL(PATHS[name]),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        )
    )


def caught(server: Server, database: str) -> Callable[[], list[str]]:
    """A function that returns what has been called of the traps since now, and by what."""
    assert server.cluster is not None, "the log of a server that is not ours cannot be read"
    log = server.cluster.log_file
    start = log.stat().st_size

    def since() -> list[str]:
        with log.open("rb") as lines:
            lines.seek(start)
            text = lines.read().decode("utf-8", "replace")
        mine = re.compile(rf"\] {re.escape(database)} LOG: +(CAUGHT .*)")
        return sorted(set(mine.findall(text)))

    return since
