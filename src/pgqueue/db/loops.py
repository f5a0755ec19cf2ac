"""What belongs to one running event loop: idle connections, and a limit.

A loop that ends closes them, though nobody asks for it: programs have one app and many loops, one
for each ``asyncio.run`` or test. A generator tells of that end, as each loop closes its own last.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pgqueue.db.connect import fd_of, is_readable, socket_of, transport_of
from pgqueue.db.exchange import say_goodbye
from pgqueue.db.faults import is_read_only
from pgqueue.db.waits import waiting
from pgqueue.errors import PoolTimeout

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["LoopState", "answers"]

_ANSWER_SECONDS = 3.0


class LoopState:
    """Used by its loop alone, but for ``hang_up`` when that is closed and has not told of it."""

    def __init__(self, size: int) -> None:
        self.idle: list[Connection] = []
        self.free = asyncio.Semaphore(size)
        self._unused = 0  # how many at the bottom were not lent since the last rest
        self._resting: set[asyncio.Task[None]] = set()
        self._size = size
        self._closed = False
        self._end: AsyncGenerator[None] | None = None
        self._proving: dict[asyncio.Task[None], Connection] = {}

    @asynccontextmanager
    async def lend(
        self, wait: float, connect: Callable[[], Awaitable[Connection]]
    ) -> AsyncGenerator[Connection]:
        """Lend a connection. ``wait``: for how long at most."""
        free = self.free
        if free.locked():
            try:
                with waiting():
                    async with asyncio.timeout(wait):
                        await free.acquire()
            except TimeoutError:
                raise PoolTimeout(
                    f"all {self._size} connections of this event loop were in use for "
                    f"{wait:g} s; nothing was sent; raise pool_size"
                ) from None
        else:
            await free.acquire()
        connection: Connection | None = None
        try:
            connection = self.take() or await self.open(connect)
            yield connection
        except BaseException as exc:
            if (
                connection is not None
                and not connection.is_closed()
                and (connection.is_in_transaction() or is_read_only(exc))
            ):
                connection.terminate()
            raise
        finally:
            if connection is not None:
                self.put(connection)
            free.release()

    async def open(self, connect: Callable[[], Awaitable[Connection]]) -> Connection:
        """Return a new connection, beyond any limit."""
        if self._end is None:
            self._end = self._until_the_end()
            await anext(self._end)
        return await connect()

    async def _until_the_end(self) -> AsyncGenerator[None]:
        """Wait for ``close``, or for the loop's ``shutdown_asyncgens``, and close all."""
        try:
            yield
        finally:
            if not self._closed:
                await self._close()

    def take(self) -> Connection | None:
        """Return an idle connection that seems open."""
        while self.idle:
            connection = self.idle.pop()
            self._unused = min(self._unused, len(self.idle))
            if not connection.is_closed() and is_readable(fd_of(connection)):
                connection.terminate()  # the server hung up
            if not connection.is_closed():
                return connection
        return None

    def put(self, connection: Connection) -> None:
        """Keep a connection for the next call."""
        if not connection.is_closed():
            # When the pool was closed meanwhile, nobody would find it any more.
            if self._closed:
                connection.terminate()
            else:
                self.idle.append(connection)

    def distrust(self) -> None:
        """Lend none of the idle connections again before it has answered."""
        idle, self.idle, self._unused = self.idle, [], 0
        for connection in idle:
            task = asyncio.get_running_loop().create_task(self._prove(connection))
            self._proving[task] = connection
            task.add_done_callback(self._proving.pop)

    def rest(self) -> None:
        """Close those that nobody was lent since the last call of this."""
        unused, self.idle = self.idle[: self._unused], self.idle[self._unused :]
        self._unused = len(self.idle)
        for connection in unused:
            task = asyncio.ensure_future(say_goodbye(connection))
            self._resting.add(task)
            task.add_done_callback(self._resting.discard)

    async def _prove(self, connection: Connection) -> None:
        kept = False
        try:
            kept = await answers(connection) and len(self.idle) < self._size
        finally:
            if kept:
                self.put(connection)
            else:
                connection.terminate()

    async def close(self) -> None:
        """Close the idle connections."""
        await self._close()
        if self._end is not None:
            await self._end.aclose()

    async def _close(self) -> None:
        self._closed = True
        for connection in self._proving.values():
            connection.terminate()  # a cancelled statement may wait for its peer
        if self._proving:
            await asyncio.wait(tuple(self._proving))
        if self._resting:
            await asyncio.wait(tuple(self._resting))
        while self.idle:
            await say_goodbye(self.idle.pop())

    def hang_up(self) -> None:
        """End the sessions of a loop that was closed without ``close``; from any thread."""
        while self.idle:
            connection = self.idle.pop()
            own, transport = socket_of(connection), transport_of(connection)
            if own is not None:
                with contextlib.suppress(OSError):
                    own.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(Exception):
                connection.terminate()  # it wants to tell the loop, which is closed
            with contextlib.suppress(Exception):
                transport._call_connection_lost(None)  # what the loop would have called


async def answers(connection: Connection) -> bool:
    """Ask an idle connection for a word; end it if none comes within a few seconds."""
    timer = asyncio.get_running_loop().call_later(_ANSWER_SECONDS, connection.terminate)
    try:
        await connection.execute("select 1")
    except Exception:
        connection.terminate()
    finally:
        timer.cancel()
    return not connection.is_closed()
