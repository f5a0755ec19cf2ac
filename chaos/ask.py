"""Questions to a server that may be away."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import asyncpg

from chaos.faults.fault import DRIVER_ERRORS

__all__ = ["LEFT", "ask", "sessions_gone"]

_SESSIONS = (
    "from pg_stat_activity where application_name like 'pgqueue%' and datname = current_database()"
)
_OURS = f"select count(*) {_SESSIONS}"
LEFT = (
    f"select (select count(*) {_SESSIONS}) as sessions,"
    f" (select string_agg(application_name, ', ') {_SESSIONS}) as names,"
    " (select count(*) from pg_locks where locktype = 'advisory') as locks,"
    " (select count(*) from pgqueue.worker) as workers,"
    " (select count(*) from pgqueue.job where worker_id is not null) as held"
)
"""What is there after all workers have ended."""


async def ask(dsn: str, query: str) -> Any:
    """Ask the server; None while it cannot be asked."""
    with contextlib.suppress(OSError, TimeoutError, *DRIVER_ERRORS):
        connection = await asyncpg.connect(dsn, timeout=5.0)
        try:
            return await connection.fetchval(query, timeout=20.0)
        finally:
            connection.terminate()
    return None


async def sessions_gone(dsn: str, seconds: float) -> None:
    """Give the server so much time to see that the processes of its sessions have ended."""
    deadline = time.monotonic() + seconds
    while await ask(dsn, _OURS) != 0 and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
