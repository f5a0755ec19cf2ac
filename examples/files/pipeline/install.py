"""Makes the tables of the pipeline and of pgqueue: ``python -m pipeline.install``."""

from __future__ import annotations

import psycopg

from pipeline.database import DATABASE_URL
from pipeline.jobs import app

__all__ = ["make_tables"]

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
    """Make what is missing."""
    with psycopg.connect(DATABASE_URL) as connection:
        connection.execute(_TABLES)
        app.migrate(connection=connection)


if __name__ == "__main__":
    make_tables()
