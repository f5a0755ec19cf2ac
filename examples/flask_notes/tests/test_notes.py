"""Requests and their jobs in the transaction of the test."""

from __future__ import annotations

from flask import Flask
from flask.testing import FlaskClient
from pgqueue.testing import Kit

from notes.jobs import count_words

NOTE = {"text": "three small words"}


def test_the_words_of_a_note_are_counted(site: Flask, client: FlaskClient, pgq: Kit) -> None:
    with pgq.assert_enqueues(count_words, count=1):
        answer = client.post("/notes", json=NOTE)
    assert answer.status_code == 201
    page = f"/notes/{answer.get_json()['id']}"
    assert client.get(page).get_json() == {**NOTE, "words": None, "job": "pending"}

    with site.app_context():  # the jobs use it too
        assert pgq.drain() == {"completed": 1}
    assert client.get(page).get_json() == {**NOTE, "words": 3, "job": "completed"}


def test_what_is_no_note_leaves_no_job(client: FlaskClient, pgq: Kit) -> None:
    with pgq.refute_enqueues():
        assert client.post("/notes", json={"title": "no text"}).status_code == 400
