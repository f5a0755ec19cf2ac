"""The start of a worker while its server is away: it waits, as a running worker does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from pgqueue.db.away import is_away
from pgqueue.db.patience import Patience
from pgqueue.errors import PgQueueError

__all__ = ["when_there"]

log = logging.getLogger("pgqueue.worker")


async def when_there(connect: Callable[[], Awaitable[None]]) -> None:
    """Call ``connect`` until the server is there. An error that time does not heal is raised."""
    patience = Patience()
    away_since: float | None = None
    while True:
        try:
            await connect()
        except PgQueueError as exc:
            if not is_away(exc):
                raise
            if away_since is None:
                away_since = time.monotonic()
                log.warning("the worker waits for its server before it starts: %s", exc)
            await asyncio.sleep(patience.delay())
        else:
            if away_since is not None:
                log.info("the server is there, after %.1f s", time.monotonic() - away_since)
            return
