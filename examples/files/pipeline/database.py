"""Where the database is, and its tables: ``python -m pipeline.database`` makes them."""

from __future__ import annotations

import os

import psycopg

__all__ = ["DATABASE_URL", "make_tables"]

DATABASE_URL = os.environ["DATABASE_URL"]

_TABLES = """
create table if not exists file (
    path text primary key,
    found_at timestamptz not null default now(),
    loaded_at timestamptz,
    sales int
);
create table if not exists sale (
    path text not null references file,
    line int not null,
    day date not null,
    product text not null,
    cents int not null,
    primary key (path, line)
);
"""


def make_tables() -> None:
    """Make the tables of the pipeline and of pgqueue, where they are missing."""
    from pipeline.jobs import app

    with psycopg.connect(DATABASE_URL) as connection:
        connection.execute(_TABLES)
        app.migrate(connection=connection)


if __name__ == "__main__":
    make_tables()
