"""The app, and its task."""

from __future__ import annotations

import os

import pgqueue
from flask import has_app_context
from pgqueue.hooks.flask import around

from notes import create_app
from notes.models import Note, db

__all__ = ["app", "count_words"]


def session() -> object | None:
    """Return the session that an enqueue joins; outside of a request and a job, none."""
    return db.session if has_app_context() else None


# Each job has a context of the application, and so a session of its own.
app = pgqueue.App(os.environ["DATABASE_URL"], connection=session, around=around(create_app))


@app.task(max_attempts=5, timeout=30)
def count_words(note_id: int) -> None:
    """Count the words of a note; the count and the job's completion are one transaction."""
    with pgqueue.current_job().transaction(db.session):
        note = db.session.get_one(Note, note_id)
        note.words = len(note.text.split())
