"""Looks for new files: ``python -m pipeline.scan DIRECTORY``. Run it as often as you like."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import psycopg

from pipeline.database import DATABASE_URL
from pipeline.jobs import app, load

__all__ = ["scan"]


def scan(connection: psycopg.Connection[Any], directory: Path) -> int:
    """Note the new files of a directory, enqueue a job for each, and return how many there are.

    The notes and the jobs are in the caller's transaction: a file that is noted has a job, and two
    scans at a time give it one.
    """
    with app.within(connection):
        paths = [str(path.resolve()) for path in sorted(directory.glob("*.csv"))]
        new = connection.execute(
            "insert into file (path) select unnest(%s::text[])"
            " on conflict do nothing returning path",
            [paths],
        )
        return len(app.enqueue_many([load.job(path) for (path,) in new]))


def main() -> None:
    """Scan the directory of the command line."""
    if len(sys.argv) != 2 or not (directory := Path(sys.argv[1])).is_dir():
        sys.exit("usage: python -m pipeline.scan DIRECTORY")
    with psycopg.connect(DATABASE_URL) as connection:
        print(f"{scan(connection, directory)} new files")


if __name__ == "__main__":
    main()
