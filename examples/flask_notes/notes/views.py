"""The pages."""

from __future__ import annotations

from flask import Blueprint, abort, request

from notes.jobs import app, count_words
from notes.models import Note, db

__all__ = ["pages"]

pages = Blueprint("notes", __name__)


@pages.post("/notes")
def write() -> tuple[dict[str, int], int]:
    """Keep a note, and have its words counted: both, or neither."""
    match request.get_json():
        case {"text": str(text)}:
            note = Note(text=text)
        case _:
            abort(400, 'give {"text": "..."}')
    db.session.add(note)
    db.session.flush()  # it has its id now
    note.job = count_words.enqueue(note.id).id
    db.session.commit()
    return {"id": note.id}, 201


@pages.get("/notes/<int:note_id>")
def show(note_id: int) -> dict[str, object]:
    """Show a note, and where the count of its words stands."""
    note = db.session.get(Note, note_id)
    if note is None:
        abort(404)
    job = None if note.job is None else app.get_job(note.job, connection=db.session)
    return {
        "text": note.text,
        "words": note.words,
        "job": None if job is None else job.state.value,
    }
