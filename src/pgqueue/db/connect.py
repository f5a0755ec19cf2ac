"""How a connection of asyncpg is opened, whatever it is for, and what is known of its socket."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pgqueue.db.faults import as_ours
from pgqueue.db.forks import note_session
from pgqueue.db.session import KEEPALIVE_OPTIONS
from pgqueue.db.source import Source
from pgqueue.db.target import resolve

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = [
    "Pooler",
    "fd_of",
    "is_readable",
    "is_standby",
    "open_connection",
    "pooler_of",
    "set_options",
    "socket_of",
    "transport_of",
]

Pooler = Literal["none", "transaction", "session"]
"""What stands before the server: nothing, or PgBouncer in this mode."""

# PgBouncer compares the text of a client's parameters with what the server says. Where they differ
# ("utf-8", as asyncpg has it), it sets them each time that a client gets another session.
_AS_SERVERS_SAY = {"client_encoding": "UTF8"}
_LATE = 20
_late: set[asyncio.Task[Connection]] = set()


def pooler_of(*, pooled: bool, by_session: bool) -> Pooler:
    """Return what stands before the server, if a session is ours within a transaction, or whole."""
    return "transaction" if pooled else "session" if by_session else "none"


async def open_connection(
    source: str | Source,
    *,
    name: str,
    seconds: float,
    settings: Mapping[str, str],
    pooler: Pooler = "none",
    statement_lifetime: int = 300,
) -> Connection:
    """Connect within so many seconds. ``name``: the session's. Raises errors of ours alone.

    ``source``: a dsn, or who is asked for it, within as many seconds.
    ``settings``: those that the session begins with. A pooler refuses all but a few; in session
    mode they are set once it is connected, and in transaction mode nobody may keep any.
    """
    import asyncpg

    dsn = source if isinstance(source, str) else await source.aask(seconds)
    try:
        target = resolve(dsn)
        limit = min(seconds, target.connect_timeout or seconds)
        start: Mapping[str, str] = settings if pooler == "none" else _AS_SERVERS_SAY
        connection = await _uncancelled(
            asyncpg.connect(
                **target.arguments,
                timeout=limit,
                statement_cache_size=0 if pooler == "transaction" else 100,
                max_cached_statement_lifetime=statement_lifetime,
                server_settings={**target.settings, "application_name": name, **start},
            )
        )
        note_session(connection)
        own = socket_of(connection)
        if own is not None:
            set_options(own, {**KEEPALIVE_OPTIONS, **target.socket_options})
        if pooler == "session" and settings:
            await _set(connection, settings, limit)
    except Exception as exc:
        raise as_ours(exc, dsn, connecting=True) from exc
    return connection


async def _uncancelled(connecting: Coroutine[Any, Any, Connection]) -> Connection:
    """Connect; when the caller is cancelled, let that end by itself, and hang up.

    asyncpg, cancelled in the exchange about TLS, leaves a future with an error that nobody reads.
    """
    task = asyncio.get_running_loop().create_task(connecting)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        _late.add(task)
        task.add_done_callback(_hang_up)
        if len(_late) > _LATE:
            task.cancel()
        raise


def _hang_up(task: asyncio.Task[Connection]) -> None:
    _late.discard(task)
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()


async def _set(connection: Connection, settings: Mapping[str, str], seconds: float) -> None:
    timer = asyncio.get_running_loop().call_later(seconds, connection.terminate)
    try:
        await connection.execute(
            "".join(f"set {name} = '{value}';" for name, value in settings.items())
        )
    except BaseException:
        connection.terminate()
        raise
    finally:
        timer.cancel()


def set_options(own: Any, options: Mapping[str, int]) -> None:
    """Set options of TCP by name; those that this system does not know are left out."""
    if own.family not in (socket.AF_INET, socket.AF_INET6):
        return
    for name, value in {"SO_KEEPALIVE": 1, **options}.items():
        number = getattr(socket, name, None)
        level = socket.SOL_SOCKET if name == "SO_KEEPALIVE" else socket.IPPROTO_TCP
        if number is not None:
            with contextlib.suppress(OSError):
                own.setsockopt(level, number, value)


def is_readable(fd: int) -> bool:
    """True if there is something to read: of an idle connection, that the server hung up."""
    if fd < 0:
        return True
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def socket_of(connection: Connection) -> socket.socket | None:
    """Return the socket of a connection, which the connection owns; None if it has none."""
    own: Any = transport_of(connection).get_extra_info("socket")
    return own  # type: ignore[no-any-return]


def transport_of(connection: Connection) -> Any:
    """Return the transport of a connection."""
    return connection._transport  # type: ignore[attr-defined]  # pyright: ignore


def is_standby(connection: Connection) -> bool:
    """True if the server has said that it is in recovery; those before PostgreSQL 14 do not."""
    with contextlib.suppress(Exception):
        return getattr(connection.get_settings(), "in_hot_standby", "") == "on"
    return False


def fd_of(connection: Connection) -> int:
    """Return the descriptor of its socket; -1 if it has none any more."""
    own = socket_of(connection)
    return -1 if own is None else own.fileno()
