"""How a worker comes to its database: it waits for the server, and looks at the schema."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from pgqueue.admin.home import check_home
from pgqueue.admin.limits import declare_queues
from pgqueue.admin.schedules import Actor, declare_schedules
from pgqueue.db.away import is_away
from pgqueue.db.retry_delay import RetryDelay
from pgqueue.db.statements import read_all
from pgqueue.errors import PgQueueError
from pgqueue.observe.job_fields import process_name

if TYPE_CHECKING:
    from asyncpg import Connection

    from pgqueue.app import App

__all__ = ["check_schema", "when_there"]

log = logging.getLogger("pgqueue.worker")

T = TypeVar("T")


async def when_there(connect: Callable[[], Awaitable[T]]) -> T:
    """Call ``connect`` until the server is there; return what it returns.

    An error that time does not heal is raised.
    """
    retry = RetryDelay()
    away_since: float | None = None
    while True:
        try:
            connected = await connect()
        except PgQueueError as exc:
            if not is_away(exc):
                raise
            if away_since is None:
                away_since = time.monotonic()
                log.warning("the worker waits for its server before it starts: %s", exc)
            await asyncio.sleep(retry.delay())
        else:
            if away_since is not None:
                log.info("the server is there, after %.1f s", time.monotonic() - away_since)
            return connected


async def check_schema(app: App, *, listen: bool) -> str:
    """Raise what keeps a worker from serving this schema; log what ``migrate`` would repair.

    Returns the version of the server.
    ``listen``: False leaves the app's pool as one behind a pooler in transaction mode.
    """
    read_all()
    if not listen and not app.pool.pooled:
        await app.pool.aclose()  # those made before have statements prepared by name
        app.pool.pooler = "transaction"
    await app.pool.acheck()
    for what in await app.pool.arun(lambda c: check_home(c, app.schema)):
        log.warning('schema "%s": %s; run: pgqueue migrate', app.schema, what)
    if len(app.declared) or len(app.declared_queues):
        await app.pool.arun(lambda c: _declare(c, app))
    version = await app.pool.arun(_version)
    await app.pool.aclose()  # few jobs need one
    return version


async def _declare(connection: Connection, app: App) -> None:
    """Write the queues and schedules that the code declares, where it says anything new."""
    actor = Actor(process_name(), "code")
    if len(app.declared_queues):
        queues = dict(app.declared_queues)
        for name in await declare_queues(connection, app.schema, queues, actor):
            log.info('queue "%s" is limited as this code declares it from now on', name)
    if not len(app.declared):
        return
    declared = {one.name: one for one in app.declared}
    for name in await declare_schedules(connection, app.schema, declared, actor):
        log.info('schedule "%s" is as this code declares it from now on', name)


async def _version(connection: Connection) -> str:
    server = connection.get_server_version()
    return f"{server.major}.{server.minor}"
