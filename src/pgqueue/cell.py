"""An app at one of several servers, for the worker that runs its jobs there."""

from __future__ import annotations

import copy
import dataclasses
import os
from collections.abc import Sequence
from contextvars import Context, copy_context
from typing import TYPE_CHECKING

from pgqueue.calls import Lookout
from pgqueue.config import WorkerSettings
from pgqueue.db.pool import Pool
from pgqueue.operations.verbs import AT
from pgqueue.schedule.code import Declarations

if TYPE_CHECKING:
    from pgqueue.app import App

__all__ = ["app_at", "context_at", "shares"]


def app_at(app: App, dsn: str, *, schedules: bool) -> App:
    """Return the app at another server: its tasks and hooks, and connections of its own.

    ``schedules``: those of its code are kept there. Each is for one server, or it would fire on
    all of them.
    """
    there = copy.copy(app)
    there.home = app
    there.pool = Pool(dsn, schema=app.schema, size=app.pool.size, pooler=app.pool.pooler)
    there.lookout = Lookout()
    if not schedules:
        there.declared = Declarations()
    return there


def context_at(there: App) -> Context:
    """Return a context in which calls of the app, as a handler makes them, go to that server."""
    context = copy_context()
    context.run(AT.set, there)
    return context


def shares(settings: WorkerSettings, cells: int) -> Sequence[WorkerSettings]:
    """Return the settings of the worker at each server: slots, threads and children shared out.

    Each gets one of them at least.
    """
    total = {
        "concurrency": settings.concurrency,
        "threads": settings.threads,
        "children": settings.children or os.cpu_count() or 1,
    }
    return [
        dataclasses.replace(settings, **{name: _share(total[name], cells, cell) for name in total})
        for cell in range(cells)
    ]


def _share(total: int, cells: int, cell: int) -> int:
    return max(1, total // cells + (cell < total % cells))
