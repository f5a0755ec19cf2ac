"""``pgqueue worker``: runs the jobs of an app as a service."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from pgqueue.cli.app_of import announce, check_connection, missing_app
from pgqueue.cli.first_process import heeding_term
from pgqueue.cli.hang_up import heeding_hang_up
from pgqueue.cli.options import (
    SECONDS,
    Names,
    connection_options,
    given_app,
    given_cells,
    given_connection,
    given_names,
)
from pgqueue.cli.which_app import Choice
from pgqueue.config import WorkerSettings, check_int
from pgqueue.errors import ConfigError
from pgqueue.observe.logs import FORMATS, LEVELS, be_heard, defer
from pgqueue.supervisor.reload import Reload
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
@click.argument("target", metavar="MODULE:APP", required=False)
@click.option(
    "--queue",
    "queues",
    multiple=True,
    help="Serve this queue; more than once for more [default: those of the app's tasks].",
)
@_setting("concurrency", int)
@_setting("threads", int)
@_setting("children", int)
@click.option("--processes", type=int, default=1, show_default=True, help="How many processes.")
@click.option("--until-idle", is_flag=True, help="Work off what is ready or due, then stop.")
@click.option("--reload", is_flag=True, help="Replace the processes when a .py file changes.")
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
    target: str | None,
    queues: tuple[str, ...],
    processes: int,
    until_idle: bool,
    reload: bool,
    max_jobs_per_process: int | None,
    uvloop: bool | None,
    log_level: str,
    log_format: str,
    no_logging: bool,
    **settings: Any,
) -> None:
    """Run the jobs of an app, until TERM or INT. A second one ends running jobs at once.

    HUP runs new code. With a terminal, HUP means that this was closed, and stops the worker.
    MODULE:APP is where the app is: "shop.jobs:app"; without it, --app counts. The current directory
    is looked in first, unless PYTHONSAFEPATH is set. Spans of time are seconds, or 15m, 12h, 7d.
    With several --dsn a process works for several servers: each gets an equal share of
    --concurrency, and one that is away delays its own jobs alone.

    --until-idle stops once no job of the queues runs, in any worker, and none is ready or due. What
    is due later stays, also what waits for a retry. --reload, for development, replaces the
    processes when a Python file changes.

    The log goes to stderr, unless the app gives the root logger a handler.

    Exit codes: 0 when it stopped as told, also with jobs released; 1 when it failed, or when a
    job blocked its event loop so that the process had to be ended; 2 when something is set wrong.
    """
    options = _checked(queues, settings, processes, max_jobs_per_process)
    loop_factory = _loop_factory(uvloop)
    choice = _choose(target)
    level = None if no_logging else log_level
    watched = Reload(choice.directory or os.getcwd()) if reload else None
    cells = _cells(max_jobs_per_process)
    app = _import(choice, level, log_format, cells, keep_on=reload)
    if app is not None and app.pool.pooled:
        # The supervisor, which has connections of its own, does not see the app.
        options.setdefault("listen", False)
    if app is not None and processes == 1 and max_jobs_per_process is None and not reload:
        _run_here(app, options, loop_factory, cells, until_idle=until_idle)
        return
    code = _supervise(
        choice.target, options, cells=cells, processes=processes, reload=watched, uvloop=uvloop,
        directory=choice.directory, until_idle=until_idle, log_level=level, log_format=log_format,
        max_jobs_per_process=max_jobs_per_process,
    )  # fmt: skip
    click.get_current_context().exit(code)


def _checked(
    queues: tuple[str, ...],
    settings: Mapping[str, Any],
    processes: int,
    max_jobs_per_process: int | None,
) -> dict[str, Any]:
    """Return the settings that were given, by name."""
    check_int(processes, "processes", 1, 1000)
    if max_jobs_per_process is not None:
        check_int(max_jobs_per_process, "max-jobs-per-process", 1)
    options = {name: value for name, value in settings.items() if value is not None}
    if queues:
        options["queues"] = queues
    WorkerSettings.of(options)
    return options


def _cells(max_jobs_per_process: int | None) -> tuple[str, ...]:
    """Return the dsns of several servers; none where at most one is given."""
    cells = given_cells()
    if len(cells) < 2:
        return ()
    if max_jobs_per_process is not None:
        raise click.UsageError("give --max-jobs-per-process with one --dsn, or leave it out")
    return cells


def _import(
    choice: Choice, level: str | None, log_format: str, cells: tuple[str, ...], *, keep_on: bool
) -> App | None:
    """Import the app; with ``keep_on``, say what is wrong with it and return None.

    Of several servers the first is that of the app's own calls outside of jobs.
    """
    dsn, schema = (cells[0], given_names()[1]) if cells else given_connection()
    announce(dsn, schema)
    try:
        with heeding_term():
            app = load_app(choice.target, choice.directory)
    except ConfigError as exc:
        if not keep_on:
            raise
        be_heard(level, log_format)
        logging.getLogger("pgqueue.supervisor").error("%s", exc)
        defer()
        return None
    be_heard(level, log_format)
    defer()
    check_connection(app, dsn, schema)
    return app


def _choose(target: str | None) -> Choice:
    if target is None:
        choice = given_app(required=True)
        if choice is None:
            raise missing_app("Missing argument 'MODULE:APP'")
        return choice
    return Choice(target, "MODULE:APP")


def _loop_factory(wanted: bool | None) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if wanted is False:
        return None
    try:
        import uvloop
    except ImportError:
        if wanted:
            raise ConfigError(
                'uvloop is not installed; pip install "pgqueue-py[uvloop]", or leave out --uvloop'
            ) from None
        return None
    return uvloop.new_event_loop


def _run_here(
    app: App,
    settings: dict[str, Any],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None,
    cells: tuple[str, ...],
    *,
    until_idle: bool,
) -> None:
    from pgqueue.worker.guard import Guard
    from pgqueue.worker.host import host
    from pgqueue.worker.worker import Worker
    from pgqueue.worker.workers import Workers

    guard = Guard()
    worker = Workers(app, cells=cells, **settings) if cells else Worker(app, **settings)
    with heeding_hang_up(worker):
        work = worker.run(until_idle=until_idle, signals=True, guard=guard)
        host(work, guard=guard, loop_factory=loop_factory)


def _supervise(target: str, settings: dict[str, Any], **options: Any) -> int:
    """Run several processes; return the exit code. The dsn and schema are in the environment."""
    from pgqueue.supervisor.supervisor import Supervisor
    from pgqueue.worker.guard import Guard

    code = Supervisor(target, settings=settings, **options).run()
    Guard().ended(code)  # the app was imported here, too
    return code
