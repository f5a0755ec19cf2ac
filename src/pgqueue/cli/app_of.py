"""The app that a command line is about, imported."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgqueue.cli.which_app import Choice, choose
from pgqueue.dsn import check_dsn, redact
from pgqueue.errors import ConfigError

if TYPE_CHECKING:
    from pgqueue.app import App

__all__ = ["announce", "check_connection", "chosen_app", "import_app", "missing_app"]


def chosen_app(given: str | None) -> Choice | None:
    """Return the app that is named; ``given``: by an option of this command line."""
    return choose(given, os.environ, Path.cwd())


def announce(dsn: str | None, schema: str | None) -> None:
    """Let the app, here and in child processes, find the options where it looks for them."""
    if dsn is not None:
        os.environ["PGQUEUE_DSN"] = dsn
    if schema is not None:
        os.environ["PGQUEUE_SCHEMA"] = schema


def import_app(choice: Choice, dsn: str | None, schema: str | None) -> App:
    """Import the app for a command that looks or enqueues; it follows the options.

    What its modules print goes to stderr: stdout is for what the command says.
    """
    from pgqueue.worker.load import load_app

    announce(dsn, schema)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            app = load_app(choice.target, choice.directory)
    except ConfigError as exc:
        if choice.is_given:
            raise
        raise ConfigError(f"{exc}; {choice.source} names this app: --dsn goes without it") from exc
    check_connection(app, dsn, schema)
    return app


def check_connection(app: App, dsn: str | None, schema: str | None) -> None:
    """Refuse options that an app with a connection of its own would not follow."""
    own = app.pool.source.given
    if dsn is not None and own is not None and own != dsn:
        raise ConfigError(
            f"the app names its own database, {app.pool.source!r}; leave out --dsn {redact(dsn)}, "
            "or make it App(), which follows --dsn and PGQUEUE_DSN"
        )
    if schema is not None and app.schema != schema:
        raise ConfigError(
            f'the app names its own schema, "{app.schema}"; leave out --schema "{schema}", or make '
            "it App(), which follows --schema and PGQUEUE_SCHEMA"
        )
    if own is None:
        check_dsn(os.environ.get("PGQUEUE_DSN"))


def missing_app(what: str) -> click.UsageError:
    """Return the error of a command that needs an app."""
    return click.UsageError(
        f"{what}; give it as MODULE:APP, as --app, in PGQUEUE_APP, or as "
        'app = "shop.jobs:app" under [tool.pgqueue] in pyproject.toml'
    )
