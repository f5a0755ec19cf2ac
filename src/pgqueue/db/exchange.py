"""What is said on a connection around a statement: its settings, its transaction, and goodbye."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["BY_INDEX", "RESET", "begin_with", "fetch_within", "say_goodbye", "set_local"]

_GOODBYE_SECONDS = 2.0

RESET = (
    "select pg_catalog.pg_advisory_unlock_all();close all;unlisten *;reset all;"
    "set session authorization default;discard temp;discard sequences"
)
"""What leaves nothing of one use of a session to the next, but for what is prepared."""

BY_INDEX = "select pg_catalog.set_config('enable_seqscan', 'off', true)"
"""For the rest of a transaction: a plan that is made while a table is empty may be kept."""


def set_local(settings: Mapping[str, str]) -> str:
    """Return what gives a transaction these settings."""
    return "".join(f"set local {name} = '{value}';" for name, value in settings.items())


def begin_with(settings: Mapping[str, str]) -> str:
    """Return what begins a transaction with these settings."""
    return "begin isolation level read committed;" + set_local(settings)


async def fetch_within(
    connection: Connection, begin: str, sql: str, args: Sequence[Any]
) -> list[Record]:
    """Run one statement in a transaction that begins so."""
    await connection.execute(begin)
    try:
        rows = await connection.fetch(sql, *args)
    except BaseException:
        if not connection.is_closed():
            await connection.execute("rollback")
        raise
    await connection.execute("commit")
    return rows


async def say_goodbye(connection: Connection) -> None:
    """Close a connection; hang up when the server does not answer."""
    if connection.is_closed():
        return
    # Not wait_for, nor a watchdog: asyncpg, once it closes, does not hear of anything else.
    closing = asyncio.ensure_future(connection.close())
    closing.add_done_callback(lambda task: task.cancelled() or task.exception())
    try:
        await asyncio.wait([closing], timeout=_GOODBYE_SECONDS)
    finally:
        closing.cancel()
        if not connection.is_closed():
            connection.terminate()
