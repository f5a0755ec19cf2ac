"""A connection for one role of a worker: reconnects, and never waits for ever for a silent peer.

The deadline of a statement does not hang on cancelling it (a cancelled coroutine was seen to wait
for a peer that never answers): the watchdog shuts the socket down, and the statement ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from pgqueue.db.connect import is_standby, set_options, socket_of
from pgqueue.db.exchange import fetch_within, say_goodbye, set_local
from pgqueue.db.faults import as_ours, is_connection_loss, is_read_only
from pgqueue.db.forks import note_session
from pgqueue.db.listener import Listener
from pgqueue.db.role_session import RoleSession
from pgqueue.db.session import TCP_OPTIONS
from pgqueue.db.source import Source
from pgqueue.db.watch import NEVER, Watch
from pgqueue.errors import OutcomeUnknown, PgQueueError, Unreachable

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["Link", "Watch"]

_NOTICE_A_HANG_UP = "set client_connection_check_interval = '1s'"


class Link:
    """One connection for one role. One statement at a time; the role's machine sees to that.

    ``rests_after``: seconds without use until the watchdog has it closed.
    """

    def __init__(
        self,
        source: str | Source,
        *,
        role: str,
        watch: Watch,
        deadline: float,
        pooled: bool,
        pooled_by_session: bool = False,
        listener: Listener | None = None,
        on_lost: Callable[[], None] | None = None,
        rests_after: float = NEVER,
    ) -> None:
        self.role = role
        self.rests_after = rests_after
        self.due = self.idle_since = NEVER
        self.asked_at = self.heard_at = time.monotonic()
        self.connects = 0
        self._session = RoleSession.of(
            role, source, deadline=deadline, pooled=pooled, pooled_by_session=pooled_by_session
        )
        self._watch = watch
        self._listener = None if pooled else listener
        self._on_lost = on_lost
        self._connection: Connection | None = None
        self._socket: socket.socket | None = None
        self._resting: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Link {self.role}>"

    @property
    def connected(self) -> bool:
        """True while the connection is, as far as this side knows, open."""
        return self._connection is not None and not self._connection.is_closed()

    @property
    def generation(self) -> int | None:
        """Which connection the next statement is sent on; None: on one that is opened for it."""
        return self.connects if self.connected else None

    async def fetch(self, sql: str, *args: Any, deadline: float | None = None) -> list[Record]:
        """Run one statement that commits by itself; connect first where needed.

        Raises OutcomeUnknown if the connection was lost while it ran, Unreachable if there is none.
        """
        return await self._guarded(lambda c: self._one(c, sql, args), deadline)

    async def quick(self, sql: str, *args: Any) -> list[Record]:
        """As fetch, for a statement that is quick as a rule."""
        return await self.fetch(sql, *args)

    @property
    def keeps_settings(self) -> bool:
        """True if they hold outside of transactions, too: not behind a pooler."""
        return self._session.begin is None

    async def alone(self, sql: str, *, deadline: float) -> None:
        """Run one statement that may take minutes, and may not be in a transaction.

        If this side hangs up, the server ends it within a second, where it can notice that.
        """

        async def work(connection: Connection) -> list[Record]:
            if self.keeps_settings:
                try:
                    await connection.execute(_NOTICE_A_HANG_UP)
                except Exception as exc:  # the system of the server does not tell, so it refuses
                    if is_connection_loss(exc):
                        raise
            await connection.execute(sql)
            return []

        await self._guarded(work, deadline)

    async def transact(
        self,
        work: Callable[[Connection], Awaitable[list[Record]]],
        *,
        deadline: float | None = None,
    ) -> list[Record]:
        """Run several statements in one transaction of ours."""

        async def inside(connection: Connection) -> list[Record]:
            async with connection.transaction(isolation="read_committed"):
                if self._session.local:
                    await connection.execute(set_local(self._session.local))
                return await work(connection)

        return await self._guarded(inside, deadline)

    async def _one(self, connection: Connection, sql: str, args: Sequence[Any]) -> list[Record]:
        begin = self._session.begin
        if begin is None:
            return await connection.fetch(sql, *args)
        return await fetch_within(connection, begin, sql, args)

    async def _guarded(
        self, work: Callable[[Connection], Awaitable[list[Record]]], deadline: float | None
    ) -> list[Record]:
        self.idle_since = NEVER
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = await self._connect()
        # The server gives up first, by statement_timeout; the watchdog only on a silent peer.
        self.asked_at = time.monotonic()
        self.due = self.asked_at + (deadline or self._session.deadline) + 1.0
        try:
            rows = await work(connection)
        except asyncio.CancelledError:
            self._lost_under_way()
            raise
        except Exception as exc:
            # A driver whose connection was cut under it stumbles in words of its own.
            lost = is_connection_loss(exc) or (
                connection.is_closed() and not isinstance(exc, PgQueueError)
            )
            ours = as_ours(exc, self._session.dsn, lost=lost, standby=is_standby(connection))
            if lost or connection.is_closed() or is_read_only(exc):
                self._lost_under_way()
            raise ours from exc
        else:
            self.heard_at = time.monotonic()
            return rows
        finally:
            self.due = NEVER
            self.idle_since = time.monotonic()

    def _lost_under_way(self) -> None:
        """Hang up. Who listens here hears nothing from now on, whoever's statement it was."""
        self.abort()
        if self._listener is not None and self._on_lost is not None:
            self._on_lost()

    async def _connect(self) -> Connection:
        self.abort()
        began = time.monotonic()
        try:
            connection = await self._session.open()
        except Unreachable as exc:
            if isinstance(exc.__cause__, TimeoutError):
                self._watch.note_unanswered(began)
            raise
        self._connection = connection
        self.heard_at = time.monotonic()
        self.connects += 1
        try:
            self._adopt_socket(connection)
        except OSError as exc:
            # Out of descriptors: without one of our own nothing could end its silence.
            self.abort()
            raise as_ours(exc, self._session.dsn, connecting=True) from exc
        if self._on_lost is not None:
            connection.add_termination_listener(self._ended)
        if self._listener is not None:
            await self._tune(connection, self._listener)
        return connection

    async def listen(self) -> None:
        """Listen to what is wanted by now; without a connection, once there is one."""
        connection = self._connection
        if self._listener is not None and connection is not None and not connection.is_closed():
            await self._tune(connection, self._listener)

    async def _tune(self, connection: Connection, listener: Listener) -> None:
        self.due = time.monotonic() + self._session.deadline
        try:
            await listener.tune(connection)
        except BaseException as exc:
            self.abort()
            if isinstance(exc, Exception):
                raise as_ours(exc, self._session.dsn, connecting=True) from exc
            raise
        finally:
            self.due = NEVER

    def _adopt_socket(self, connection: Connection) -> None:
        """Keep a handle of our own on the socket, which the watchdog can shut from its thread."""
        own = socket_of(connection)
        if own is None:
            return
        self._socket = socket.socket(fileno=os.dup(own.fileno()))
        note_session(self._socket)
        set_options(self._socket, TCP_OPTIONS)
        self._watch.add(self)

    def _ended(self, connection: object) -> None:
        """Tell of a connection that ended while it was idle; else its statement tells."""
        if self._on_lost is not None and connection is self._connection and self.due == NEVER:
            self._on_lost()

    def cut(self) -> None:
        """Shut the socket down; whoever waits for an answer is told at once. From any thread."""
        self.due = NEVER
        self._watch.discard(self)
        own = self._socket
        if own is not None:
            with contextlib.suppress(OSError):
                own.shutdown(socket.SHUT_RDWR)

    def lose(self) -> NoReturn:
        """Hang up, as if that had kept the answer that has just come from coming."""
        self.abort()
        raise OutcomeUnknown(f"the {self.role} connection was cut after a statement")

    def abort(self) -> None:
        """Drop the connection without a word. Only from the loop that it belongs to."""
        self._watch.discard(self)
        connection, self._connection = self._connection, None
        own, self._socket = self._socket, None
        if own is not None:
            own.close()
        if connection is not None and not connection.is_closed():
            connection.terminate()

    def rest(self) -> None:
        """Close, if nobody has used it for so long; who needs it connects. On the link's loop."""
        connection = self._connection
        if connection is None or time.monotonic() - self.idle_since < self.rests_after:
            return
        self._connection = None
        self.abort()
        self._resting = asyncio.ensure_future(say_goodbye(connection))

    async def close(self) -> None:
        """Say goodbye to the server, or hang up when it does not answer."""
        self._on_lost = None
        try:
            if self._resting is not None:
                await asyncio.wait([self._resting])
            if self._connection is not None:
                await say_goodbye(self._connection)
        finally:
            self.abort()
