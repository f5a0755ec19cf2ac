"""Connections of a client: a few per process, for async code on its loop and for plain threads.

Blocking calls run on a lane: a private event loop with one connection, used by one thread at a
time, so that no driver but asyncpg is needed and nothing runs in the background. After a fork the
child starts with empty lanes; the parent's sockets are left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from pgqueue import failpoints
from pgqueue.config import check_dsn, check_dsn_parts, check_int, dsn_from_environment, redact
from pgqueue.db import migrate
from pgqueue.db.again import again
from pgqueue.db.doubt import ASK_SECONDS, Doubt
from pgqueue.db.faults import as_ours, is_connection_loss, is_read_only
from pgqueue.db.forks import note_session
from pgqueue.db.link import KEEPALIVES, Patience
from pgqueue.db.statements import statement
from pgqueue.errors import PgQueueError, PoolTimeout, SyncInAsync, Unreachable

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["Ended", "Pool", "is_readable"]

T = TypeVar("T")
_CONNECT_SECONDS = 8.0


class Ended(Unreachable):
    """The session was lost and nothing of the work can have come to stay: do it on another."""


def _no_loop(what: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise SyncInAsync(
        f"{what} would block the running event loop; await a{what} instead"
        if what.isidentifier()
        else f"{what} would block the running event loop"
    )


class _Lane:
    """A private loop and its connection; whoever holds the lane may run on it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.connection: Connection | None = None
        self.fd = -1
        self.used_at = 0.0

    def usable(self) -> bool:
        """False if the connection is gone; a readable idle socket means that the server hung up."""
        connection = self.connection
        return connection is not None and not connection.is_closed() and not is_readable(self.fd)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` to its end."""
        task = self.loop.create_task(work)
        try:
            return self.loop.run_until_complete(task)
        finally:
            if not task.done():
                # A signal's handler raised. What it interrupted must not go on in the next call.
                if self.connection is not None:
                    self.connection.terminate()
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    self.loop.run_until_complete(task)

    def discard(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None and not connection.is_closed():
            connection.terminate()
            self.loop.run_until_complete(asyncio.sleep(0))

    def close(self) -> None:
        connection = self.connection
        with contextlib.suppress(Exception):
            if connection is not None and not connection.is_closed():
                self.loop.run_until_complete(asyncio.wait_for(connection.close(), 2.0))
        self.discard()
        self.loop.close()


class _LoopState:
    """What belongs to one running event loop: idle connections and a limit."""

    def __init__(self, size: int) -> None:
        self.idle: list[Connection] = []
        self.free = asyncio.Semaphore(size)


class Pool:
    """At most ``size`` connections for threads, and as many for each event loop."""

    def __init__(
        self,
        dsn: str | None,
        *,
        schema: str,
        size: int = 5,
        deadline: float = 30.0,
        pooled: bool = False,
    ) -> None:
        self.schema = schema
        self.size = check_int(size, "pool_size", 1, 1000)
        self.deadline = deadline
        self._given = None if dsn is None else check_dsn(dsn)
        self._dsn: str | None = None
        self.pooled = pooled
        self._checked = False
        self._silent_at = 0.0
        self._is_silent = statement("is_silent", schema)
        self._inherited: list[object] = []
        self._reset_for(os.getpid())
        self._loops: dict[asyncio.AbstractEventLoop, _LoopState] = {}

    def _reset_for(self, pid: int) -> None:
        self._pid = pid
        self._lanes: list[_Lane] = []
        self._free = threading.BoundedSemaphore(self.size)

    @property
    def dsn(self) -> str:
        """The dsn to connect to: as given, or PGQUEUE_DSN; ``embedded:DIR`` is started here."""
        if self._dsn is None or self._pid != os.getpid():
            dsn = self._given or check_dsn(dsn_from_environment())
            if dsn.startswith("embedded:"):
                from pgqueue.embedded import resolve

                dsn = resolve(dsn)
            self._dsn = check_dsn_parts(dsn)
        return self._dsn

    # -- blocking

    def run(
        self,
        work: Callable[[Connection], Awaitable[T]],
        *,
        what: str,
        checked: bool = True,
        seconds: float | None = None,
        size: int | None = None,
    ) -> T:
        """Run ``work`` on a connection, blocking, for at most ``seconds`` (None: the deadline).

        ``work`` begins its own transactions: behind a pooler, a connection is ours only within
        one. ``what`` names the call in errors. ``size``: how many bytes a statement of it sends at
        most, if its answers are small; then silence is found out before the deadline.
        """
        _no_loop(what)
        if self._pid != os.getpid():
            # Kept as they are: closing them would change the epoll that the parent still waits on.
            self._inherited += [*self._lanes, *self._loops.items()]
            self._loops.clear()
            self._reset_for(os.getpid())
        if not self._free.acquire(timeout=self.deadline):
            raise PoolTimeout(
                f"all {self.size} connections of this process were in use for {self.deadline:g} s; "
                "raise pool_size"
            )
        until = time.monotonic() + (self.deadline if seconds is None else seconds)
        patience = _patience()
        lane: _Lane | None = None
        try:
            while True:
                lane = self._take_lane()
                try:
                    return lane.run(self._on_lane(lane, work, checked, until, size))
                except Ended:
                    wait = next(patience)
                    if time.monotonic() + wait >= until:
                        raise
                self._lanes.append(lane)
                lane = None
                time.sleep(wait)
        finally:
            if lane is not None:
                self._lanes.append(lane)
            self._free.release()

    def _take_lane(self) -> _Lane:
        while True:
            try:
                lane = self._lanes.pop()
            except IndexError:
                return _Lane()
            if not lane.usable() or lane.used_at < self._silent_at:
                lane.discard()
            return lane

    async def _on_lane(
        self,
        lane: _Lane,
        work: Callable[[Connection], Awaitable[T]],
        checked: bool,
        until: float,
        size: int | None,
    ) -> T:
        connection = lane.connection
        if connection is None:
            connection = await self._connect()
            lane.connection = connection
            lane.fd = fd_of(connection)
        try:
            return await self._work(connection, work, checked, until, size)
        finally:
            lane.used_at = time.monotonic()
            if connection.is_closed():
                lane.connection = None

    # -- async

    @asynccontextmanager
    async def connection(
        self, limit: asyncio.Semaphore | None = None
    ) -> AsyncGenerator[Connection]:
        """Lend a connection on the running loop.

        ``limit``: how many may be lent in place of the loop's own limit. Who keeps a connection
        while other code of his borrows needs one, or they wait for each other.
        """
        loop = asyncio.get_running_loop()
        state = self._loops.get(loop)
        if state is None:
            self._drop_closed_loops()
            state = self._loops[loop] = _LoopState(self.size)
        free = state.free if limit is None else limit
        if free.locked():
            try:
                async with asyncio.timeout(self.deadline):
                    await free.acquire()
            except TimeoutError:
                raise PoolTimeout(
                    f"all {self.size} connections of this event loop were in use for "
                    f"{self.deadline:g} s; raise pool_size"
                ) from None
        else:
            await free.acquire()
        connection: Connection | None = None
        try:
            while state.idle and connection is None:
                connection = state.idle.pop()
                if not connection.is_closed() and is_readable(fd_of(connection)):
                    connection.terminate()  # the server hung up
                if connection.is_closed():
                    connection = None
            if connection is None:
                connection = await self._connect()
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
            if connection is not None and not connection.is_closed():
                if self._loops.get(loop) is state:
                    state.idle.append(connection)
                else:  # the pool was closed meanwhile, and nobody would find it any more
                    connection.terminate()
            free.release()

    async def arun(
        self,
        work: Callable[[Connection], Awaitable[T]],
        *,
        checked: bool = True,
        seconds: float | None = None,
        size: int | None = None,
    ) -> T:
        """Run ``work`` on a connection of the running loop, as ``run`` does."""
        until = time.monotonic() + (self.deadline if seconds is None else seconds)
        patience = _patience()
        while True:
            async with self.connection() as connection:
                try:
                    return await self._work(connection, work, checked, until, size)
                except Ended:
                    wait = next(patience)
                    if time.monotonic() + wait >= until:
                        raise
            await asyncio.sleep(wait)

    # -- both

    async def _work(
        self,
        connection: Connection,
        work: Callable[[Connection], Awaitable[T]],
        checked: bool,
        until: float,
        size: int | None,
    ) -> T:
        doubt = self.doubt(connection, until, size)
        # It counts the statements that the session was given to execute; a PREPARE is none.
        protocol: Any = connection._protocol  # type: ignore[attr-defined]  # pyright: ignore
        executed: int | None = None  # before the work began
        try:
            if checked and not self._checked:
                await again(lambda: self._check(connection), until)
            executed = protocol.queries_count
            if failpoints.armed is not None:
                failpoints.armed.reach("client.before", lambda: failpoints.shut(fd_of(connection)))
            answer = await again(lambda: work(connection), until)
            if failpoints.armed is not None:
                failpoints.armed.reach("client.after", _lose)
            return answer
        except Exception as exc:
            lost = is_connection_loss(exc)
            if lost or is_read_only(exc) or not _from_answer(exc):
                connection.terminate()
            if lost and executed in (None, protocol.queries_count):
                raise Ended(f"the session with {redact(self.dsn)} had ended: {exc}") from exc
            ours = as_ours(exc, self.dsn)
            if ours is exc:
                raise
            raise ours from exc
        except BaseException:
            # Whether it was carried out is unknown; a connection in mid-answer is of no use.
            connection.terminate()
            raise
        finally:
            if (asking := doubt.end()) is not None:
                await asyncio.wait([asking])

    def doubt(self, connection: Connection, until: float, size: int | None = 0) -> Doubt:
        """Watch over what is about to be sent on a connection, until it has been answered.

        ``size``: see ``run``. Behind a pooler there is no session to ask about.
        """
        size = None if self.pooled else size
        return Doubt(connection, until, size, self._is_silent, self._connect_to_ask, self.distrust)

    def distrust(self) -> None:
        """Keep none of the idle connections: one to the same server was found silent.

        Of event loops, the running one alone: a connection is ended on its own.
        """
        self._silent_at = time.monotonic()
        state = self._loops.get(asyncio.get_running_loop())
        while state is not None and state.idle:
            state.idle.pop().terminate()

    async def _connect_to_ask(self) -> Connection:
        return await self._connect(ASK_SECONDS, search_path="")

    async def _connect(self, seconds: float = _CONNECT_SECONDS, **settings: str) -> Connection:
        import asyncpg

        dsn = self.dsn
        try:
            connection: Connection = await asyncpg.connect(
                dsn,
                timeout=min(seconds, self.deadline),
                statement_cache_size=0 if self.pooled else 100,
                server_settings={
                    "application_name": "pgqueue client",
                    **({} if self.pooled else KEEPALIVES),
                    **settings,
                },
            )
        except Exception as exc:
            raise as_ours(exc, dsn, connecting=True) from exc
        note_session(connection)
        return connection

    async def _check(self, connection: Connection) -> None:
        async with connection.transaction():
            milliseconds = str(int(self.deadline * 1000))
            await connection.fetchval(statement("await_schema", self.schema), milliseconds)
            done = await migrate.applied(connection, self.schema)
        migrate.check(done, self.schema)
        self._checked = True

    async def acheck(self) -> None:
        """Connect once, and raise Unreachable or SchemaError if this app cannot work there."""

        async def nothing(_: Connection) -> None:
            return

        await self.arun(nothing)

    def recheck(self) -> None:
        """Look at the schema's version again with the next connection."""
        self._checked = False

    def close(self) -> None:
        """Close the connections of threads; those in use stay open until they are given back."""
        self._drop_closed_loops()
        if self._lanes:
            _no_loop("close")
        while self._lanes and self._pid == os.getpid():
            self._lanes.pop().close()

    def _drop_closed_loops(self) -> None:
        """Hang up on the sessions of event loops that ended without ``aclose``."""
        if self._pid != os.getpid():
            return
        for loop in list(self._loops):
            if loop.is_closed() and (state := self._loops.pop(loop, None)) is not None:
                for connection in state.idle:
                    own = _socket(connection)
                    if own is not None:
                        with contextlib.suppress(OSError):
                            own.shutdown(socket.SHUT_RDWR)

    async def aclose(self) -> None:
        """Close the idle connections of the running loop, and those of threads."""
        state = self._loops.pop(asyncio.get_running_loop(), None)
        for connection in state.idle if state else ():
            closing = asyncio.ensure_future(connection.close())
            closing.add_done_callback(lambda task: task.cancelled() or task.exception())
            await asyncio.wait([closing], timeout=2.0)
            closing.cancel()
            connection.terminate()
        if self._lanes:
            await asyncio.get_running_loop().run_in_executor(None, self.close)

    def __repr__(self) -> str:
        return f"<Pool {redact(self._given or '(PGQUEUE_DSN)')} schema={self.schema!r}>"


def _patience() -> Iterator[float]:
    """Yield how long to wait before each new try: not at all, then ever longer."""
    longer = Patience()
    return chain((0.0,), iter(longer.delay, None))


def _from_answer(error: Exception) -> bool:
    """True if the server or the driver said so, and not a signal's handler in mid-answer."""
    import asyncpg

    return isinstance(error, (asyncpg.PostgresError, asyncpg.InterfaceError, PgQueueError))


def is_readable(fd: int) -> bool:
    """True if an idle connection has something to say, which is that the server hung up."""
    if fd < 0:
        return True
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def _lose() -> None:
    raise ConnectionResetError("cut after the answer")


def _socket(connection: Connection) -> socket.socket | None:
    transport: asyncio.Transport = connection._transport  # type: ignore[attr-defined]  # pyright: ignore
    own: Any = transport.get_extra_info("socket")
    return own  # type: ignore[no-any-return]


def fd_of(connection: Connection) -> int:
    """Return the descriptor of its socket; -1 if it has none any more."""
    own = _socket(connection)
    return -1 if own is None else own.fileno()
