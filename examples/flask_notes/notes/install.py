"""Makes the tables of the notes and of pgqueue: ``python -m notes.install``."""

from __future__ import annotations

from notes import create_app
from notes.jobs import app
from notes.models import Base, db

__all__ = ["make_tables"]


def make_tables() -> None:
    """Make what is missing."""
    with create_app().app_context():
        with db.engine.begin() as connection:
            Base.metadata.create_all(connection)
            app.migrate(connection=connection)
        db.engine.dispose()


if __name__ == "__main__":
    make_tables()
