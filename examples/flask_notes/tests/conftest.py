"""The tables, once; each test has a connection that is rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection

from notes import create_app
from notes.install import make_tables
from notes.models import db


@pytest.fixture(scope="session", autouse=True)
def tables() -> None:
    make_tables()


@pytest.fixture
def site() -> Flask:
    return create_app()


@pytest.fixture
def pgq_connection(site: Flask) -> Iterator[Connection]:
    """Give all sessions and all enqueues of a test one connection, and roll it back."""
    with site.app_context():
        engines = cast("dict[Any, Any]", db.engines)
        db.session.configure(join_transaction_mode="create_savepoint")
    engine = engines[None]
    with engine.connect() as connection:
        connection.begin()
        engines[None] = connection
        yield connection
        connection.rollback()
    engine.dispose()


@pytest.fixture
def client(site: Flask, pgq_connection: Connection) -> FlaskClient:
    return site.test_client()
