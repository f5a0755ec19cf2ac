"""Databases of several encodings, and the fixtures of the worker's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg import sql

from pgqueue.db.migrate import migrate
from tests.conftest import SCHEMA, Server
from tests.harness.servers import run_apart
from tests.worker.conftest import app, app_dsn, eyes, pytest_generate_tests

__all__ = ["app", "app_dsn", "eyes", "pytest_generate_tests"]

ENCODINGS = ("UTF8", "LATIN1", "SQL_ASCII")


@pytest.fixture(params=ENCODINGS)
def encoded_dsn(pg: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database of each encoding in turn."""
    name = f"{pg.new_name()}_{request.param.lower()}"
    with pg.connect() as connection:
        connection.execute(
            sql.SQL(
                "create database {} template template0 encoding {} locale_provider libc"
                " lc_collate 'C' lc_ctype 'C'"
            ).format(sql.Identifier(name), sql.Literal(request.param))
        )
    try:
        run_apart(migrate(pg.dsn_for(name), SCHEMA))
        yield pg.dsn_for(name)
    finally:
        pg.drop(name)
