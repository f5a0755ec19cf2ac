"""Fixtures for pytest, by the entry point ``pgqueue``; ``-p no:pgqueue`` leaves them out.

Nothing of pgqueue is imported before a fixture is used, and Django is never imported here.

======================  =============================================================
``pgq``                 a ``pgqueue.testing.Kit``: assertions and ``drain``
``pgq_app``             the app; by default what ``pgqueue_app = "module:app"`` names, or
                        else PGQUEUE_APP, or ``app`` under ``[tool.pgqueue]``
``pgq_connection``      the connection of the test; override it to lend your own
``pgq_database``        the dsn of an embedded PostgreSQL, migrated once a session
======================  =============================================================
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pgqueue.app import App
    from pgqueue.testing.kit import Kit

__all__ = ["pgq", "pgq_app", "pgq_connection", "pgq_database", "pytest_addoption"]

_DSN = "PGQUEUE_DSN"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting that names the app."""
    parser.addini("pgqueue_app", 'the app of the fixture pgq, as in "shop.jobs:app"', default="")


@pytest.fixture(scope="session")
def pgq_app(pytestconfig: pytest.Config) -> App:
    """Return the app that the tests are about."""
    from pgqueue.cli.which_app import Choice, choose
    from pgqueue.errors import ConfigError
    from pgqueue.worker.load import load_app

    given: str = pytestconfig.getini("pgqueue_app")
    root = pytestconfig.rootpath
    choice = Choice(given, "pgqueue_app") if given else choose(None, os.environ, root)
    if choice is None:
        raise ConfigError(
            'which app do the tests mean? Set app = "module:app" under [tool.pgqueue] in '
            "pyproject.toml, or pgqueue_app in the configuration of pytest, or override the "
            "fixture pgq_app"
        )
    return load_app(choice.target, choice.directory or str(root))


@pytest.fixture(scope="session")
def pgq_database() -> Iterator[str]:
    """Start an embedded PostgreSQL with the schema in it, which PGQUEUE_DSN names meanwhile."""
    from pgqueue import embedded
    from pgqueue.config import schema_from_environment
    from pgqueue.db.migrate import migrate

    home = tempfile.mkdtemp(prefix="pgqueue-test-")
    os.chmod(home, 0o711)  # noqa: S103
    before = os.environ.get(_DSN)
    try:
        dsn = embedded.join(home)
        asyncio.run(migrate(dsn, schema_from_environment()))
        os.environ[_DSN] = dsn
        yield dsn
    finally:
        if before is None:
            os.environ.pop(_DSN, None)
        else:
            os.environ[_DSN] = before
        embedded.leave(home)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def pgq_connection(pgq_app: App) -> Iterator[object]:
    """Lend the test's connection: the one that the app's enqueues join, or Django's, or our own.

    One of our own is in a transaction that is rolled back after the test.
    """
    from pgqueue.testing.connect import blocking_connection

    with ExitStack() as stack:
        theirs = pgq_app.join()
        if theirs is None:
            theirs = _djangos_connection()
        yield theirs if theirs is not None else stack.enter_context(blocking_connection(pgq_app))


def _djangos_connection() -> Any:
    """Return Django's connection if a test of Django has begun a transaction in it."""
    django = sys.modules.get("django.db")
    if django is None:
        return None
    connection: Any = getattr(django, "connection", None)
    settings: Any = getattr(sys.modules.get("django.conf"), "settings", None)
    if connection is None or not getattr(settings, "configured", False):
        return None
    inside = connection.vendor == "postgresql" and connection.in_atomic_block
    return connection if inside else None


@pytest.fixture
def pgq(pgq_app: App, pgq_connection: object) -> Iterator[Kit]:
    """Give assertions and ``drain``; in the test, the app's enqueues join ``pgq_connection``."""
    from pgqueue.testing.kit import Kit

    with Kit(pgq_app, pgq_connection).joined() as kit:
        yield kit
