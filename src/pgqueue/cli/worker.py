"""``pgqueue worker``: runs the jobs of an app as a service."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from pgqueue.cli.options import SECONDS, Names, connection_options, given_connection
from pgqueue.config import WorkerSettings, check_int
from pgqueue.dsn import check_dsn, redact
from pgqueue.errors import ConfigError
from pgqueue.observe.logs import FORMATS, LEVELS, be_heard, defer
from pgqueue.worker.load import load_app

if TYPE_CHECKING:
    from pgqueue.app import App

__all__ = ["worker"]

_FIELDS = {field.name: field for field in dataclasses.fields(WorkerSettings)}


def _setting(name: str, type: Any) -> Callable[[Any], Any]:  # noqa: A002
    """Make the option of a worker's setting: its line and its default are the setting's own."""
    field = _FIELDS[name]
    return click.option(
        f"--{name.replace('_', '-')}",
        name,
        type=type,
        help=f"{field.metadata['about']} [default: {field.default:g}]",
    )


@click.command()
@click.argument("target", metavar="MODULE:APP")
@click.option("--queue", "queues", multiple=True, help="Serve this queue; more than once for more.")
@_setting("concurrency", int)
@click.option("--processes", type=int, default=1, show_default=True, help="How many processes.")
@click.option("--max-jobs-per-process", type=int, help="Replace a process after this many jobs.")
@click.option("--listen/--no-listen", default=None, help=f"{_FIELDS['listen'].metadata['about']}")
@_setting("poll_interval", SECONDS)
@_setting("lease", SECONDS)
@_setting("heartbeat", SECONDS)
@_setting("grace", SECONDS)
@_setting("deadline", SECONDS)
@_setting("retention", SECONDS)
@_setting("summary_interval", SECONDS)
@_setting("max_prefetch", int)
@_setting("crash_cap", int)
@click.option("--uvloop/--no-uvloop", default=None, help="uvloop [default: if it is installed].")
@click.option("--log-level", type=Names("log level", LEVELS), default="info", show_default=True)
@click.option("--log-format", type=Names("log format", FORMATS), default="text", show_default=True)
@click.option("--no-logging", is_flag=True, help="Leave all of logging to the app.")
@connection_options
def worker(
    target: str,
    queues: tuple[str, ...],
    processes: int,
    max_jobs_per_process: int | None,
    uvloop: bool | None,
    log_level: str,
    log_format: str,
    no_logging: bool,
    **settings: Any,
) -> None:
    """Run the jobs of an app, until told to stop by TERM or INT; twice: without grace.

    MODULE:APP is where the app is: "shop.jobs:app". The current directory is looked in first,
    unless PYTHONSAFEPATH is set. Spans of time are seconds, or 15m, 12h, 7d.
    The log goes to stderr, unless the app gives the root logger a handler.

    Exit codes: 0 when it stopped as told, also with jobs released; 1 when it failed, or when a
    job blocked its event loop so that the process had to be ended; 2 when something is set wrong.
    """
    options = {name: value for name, value in settings.items() if value is not None}
    if queues:
        options["queues"] = queues
    WorkerSettings.of(options)
    check_int(processes, "processes", 1, 1000)
    if max_jobs_per_process is not None:
        check_int(max_jobs_per_process, "max-jobs-per-process", 1)
    loop_factory = _loop_factory(uvloop)
    dsn, schema = given_connection()
    _announce(dsn, schema)
    app = load_app(target)
    be_heard(level := None if no_logging else log_level, log_format)
    defer()
    _check_connection(app, dsn, schema)
    if app.pool.pooled:
        # The supervisor, which has connections of its own, does not see the app.
        options.setdefault("listen", False)
    if processes == 1 and max_jobs_per_process is None:
        _run_here(app, options, loop_factory)
        return
    code = _supervise(
        target,
        options,
        processes=processes,
        max_jobs_per_process=max_jobs_per_process,
        log_level=level,
        log_format=log_format,
        uvloop=uvloop,
    )
    click.get_current_context().exit(code)


def _announce(dsn: str | None, schema: str | None) -> None:
    """Let the app, here and in child processes, find the options where it looks for them."""
    if dsn is not None:
        os.environ["PGQUEUE_DSN"] = dsn
    if schema is not None:
        os.environ["PGQUEUE_SCHEMA"] = schema


def _check_connection(app: App, dsn: str | None, schema: str | None) -> None:
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


def _loop_factory(wanted: bool | None) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if wanted is False:
        return None
    try:
        import uvloop
    except ImportError:
        if wanted:
            raise ConfigError(
                'uvloop is not installed; pip install "pgqueue[uvloop]", or leave out --uvloop'
            ) from None
        return None
    return uvloop.new_event_loop


def _run_here(
    app: App,
    settings: dict[str, Any],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None,
) -> None:
    from pgqueue.worker.guard import Guard
    from pgqueue.worker.host import host
    from pgqueue.worker.worker import Worker

    guard = Guard()
    work = Worker(app, **settings).run(signals=True, guard=guard)
    host(work, guard=guard, loop_factory=loop_factory)


def _supervise(target: str, settings: dict[str, Any], **options: Any) -> int:
    """Run several processes; return the exit code. The dsn and schema are in the environment."""
    from pgqueue.supervisor.supervisor import Supervisor
    from pgqueue.worker.guard import Guard

    code = Supervisor(target, settings=settings, **options).run()
    Guard().ended(code)  # the app was imported here, too
    return code
