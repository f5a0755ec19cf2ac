"""The root of the command line, and the one door through which every error leaves."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from pgqueue.cli.group import LazyGroup
from pgqueue.cli.options import connection_options
from pgqueue.dsn import dsn_from_environment, redact_text
from pgqueue.errors import ConfigError, PayloadError, PgQueueError, nearest
from pgqueue.hints import option_for
from pgqueue.observe.plain import plain
from pgqueue.observe.streams import settle
from pgqueue.version import __version__

__all__ = ["cli"]

_HELP = """\
Background jobs in the PostgreSQL that you already run.

\b
--app, --dsn and --schema go before or after the command. What counts:
  1. the option          --app, --dsn, --schema (those nearest to the command)
  2. the environment     PGQUEUE_APP, PGQUEUE_DSN, PGQUEUE_SCHEMA
  3. the default         app under [tool.pgqueue] in pyproject.toml, here or
                         above; none for the dsn; "pgqueue" for the schema
An app brings its own dsn and schema, so that no other option is needed;
--dsn by itself goes without the app.
A password is better kept in the environment, or in ~/.pgpass: options show in ps.

\b
Exit codes:
  0  done
  1  it failed: database unreachable, schema missing, job not found
  2  wrong input: an unknown command or option, a value that cannot be
  3  migrate --check: there is something to migrate or to repair
"""

_COMMANDS = {
    "worker": ("pgqueue.cli.worker:worker", "Run the jobs of an app."),
    "enqueue": ("pgqueue.cli.enqueue:enqueue", "Enqueue a job."),
    "migrate": ("pgqueue.cli.migrate:migrate", "Install or upgrade the schema."),
    "adopt": ("pgqueue.cli.adopt:adopt", "Let workers run on a copy of a database."),
    "cells": ("pgqueue.cli.cells:cells", "Print the function that enqueues at a node of Citus."),
    "roles": ("pgqueue.cli.roles:roles", "Print SQL that gives each part its own role."),
    "status": ("pgqueue.cli.status:status", "Show jobs, queues and workers at this moment."),
    "health": ("pgqueue.cli.health:health", "Say whether all is well, by the exit code."),
    "jobs": ("pgqueue.cli.jobs:jobs", "List, show, retry, cancel jobs."),
    "dead": ("pgqueue.cli.dead:dead", "List, show, redrive, purge dead letters."),
    "queues": ("pgqueue.cli.queues:queues", "List, pause, resume queues."),
    "flows": ("pgqueue.cli.flows:flows", "List, show, set, pause flows: limits and turns of keys."),
    "keys": ("pgqueue.cli.keys:keys", "List the keys of a flow, or change one."),
    "schedules": ("pgqueue.cli.schedules:schedules", "List, preview, pause, run, set schedules."),
    "workers": ("pgqueue.cli.workers:workers", "List the workers."),
    "demo": ("pgqueue.cli.demo:demo", "See it at work, with nothing installed."),
}

_TRACEBACK = "PGQUEUE_TRACEBACK"


class Root(LazyGroup):
    """The group that turns every error into one line and an exit code."""

    def main(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,  # noqa: ARG002  (one name, however it is run)
        **extra: Any,
    ) -> NoReturn:
        """Run, and exit."""
        settle()
        extra["standalone_mode"] = False
        try:
            code = super().main(args, "pgqueue", **extra)
            sys.stdout.flush()
            sys.exit(code if isinstance(code, int) else 0)
        except (KeyboardInterrupt, click.Abort):
            sys.exit(130)
        except BrokenPipeError:
            # Whoever read our output has gone; say nothing more, not even at exit.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except Exception as exc:
            if os.environ.get(_TRACEBACK):
                raise
            text, code = describe(exc)
            click.echo(f"pgqueue: {plain(_without_secrets(text))}", err=True)
            sys.exit(code)


def describe(error: Exception) -> tuple[str, int]:
    """Return the line and the exit code of an error."""
    match error:
        case click.NoSuchOption():
            name, known = error.option_name, _options_of(error.ctx)
            guess = option_for(name, known) or nearest(name, error.possibilities or known)
            return f'no option "{name}"{guess}', 2
        case click.UsageError():
            return error.format_message().rstrip("."), 2
        case click.ClickException():
            return error.format_message().rstrip("."), error.exit_code
        case ConfigError() | PayloadError():
            return str(error), 2
        case PgQueueError():
            return str(error), 1
        case _:
            return (
                f"unexpected {type(error).__name__}: {error} (set {_TRACEBACK}=1 to see where)",
                1,
            )


def _without_secrets(text: str) -> str:
    given = dsn_from_environment()
    return redact_text(text, given) if given else redact_text(text)


def _options_of(ctx: click.Context | None) -> list[str]:
    return [name for p in ctx.command.get_params(ctx) for name in p.opts] if ctx else []


@click.command(cls=Root, lazy=_COMMANDS, help=_HELP)
@click.version_option(__version__, message="pgqueue %(version)s")
@connection_options
def cli() -> None:
    """Do nothing by itself; see the commands."""
