"""Connections of a client: a few per process, for async code on its loop and for plain threads.

After a fork the child starts with none; the parent's sockets are left alone.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from pgqueue import failpoints
from pgqueue.config import check_int
from pgqueue.db import migrate
from pgqueue.db.aftermath import aftermath
from pgqueue.db.again import again
from pgqueue.db.blocking import BlockingConnection, no_loop
from pgqueue.db.call import CALL_SECONDS, Call, Ended
from pgqueue.db.connect import Pooler, fd_of, is_standby, open_connection
from pgqueue.db.faults import as_ours
from pgqueue.db.interrupts import Deferred
from pgqueue.db.loops import LoopState, answers
from pgqueue.db.opened import Opened
from pgqueue.db.session import KEEPALIVES
from pgqueue.db.source import GivenDsn, Source
from pgqueue.db.stall import STALL, Questions, StallCheck
from pgqueue.db.statements import statement
from pgqueue.dsn import redact

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["Ended", "Pool"]

T = TypeVar("T")
_CONNECT_SECONDS = 8.0
_WAIT_SECONDS = 30.0


class Pool:
    """At most ``size`` connections for threads, and as many for each event loop.

    ``deadline``: how long a call may take once it has a connection. ``wait``: how long it waits for
    one while all are in use; then nothing was sent. ``pooler``: what the dsn leads through.
    ``timings``: when the server is asked about a statement that takes long.
    """

    def __init__(
        self,
        dsn: GivenDsn,
        *,
        schema: str,
        size: int = 5,
        deadline: float = CALL_SECONDS,
        wait: float = _WAIT_SECONDS,
        pooler: Pooler = "none",
    ) -> None:
        self.schema = schema
        self.size = check_int(size, "pool_size", 1, 1000)
        self.deadline = deadline
        self.wait = wait
        self.timings = STALL
        self.pooler: Pooler = pooler
        self.source = Source(dsn)
        self._checked = False
        self._silent_at = 0.0
        self.questions = Questions(schema)
        self.opened = Opened(self.size)

    @property
    def pooled(self) -> bool:
        """True if a session is ours only within a transaction."""
        return self.pooler == "transaction"

    @property
    def dsn(self) -> str:
        """The dsn that was last connected to, or the one to begin with."""
        return self.source.dsn

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
        no_loop(what)
        if self.opened.pid != os.getpid():
            self.opened.forked(self.size)
        dsn = self.dsn
        call = Call(self.deadline if seconds is None else seconds, checked=checked, size=size)
        blocking = self.opened.blocking
        with Deferred() as deferred:
            try:
                own = blocking.borrow(self.wait, deferred)
            except OSError as exc:
                raise as_ours(exc, dsn, connecting=True) from exc
            try:
                while True:
                    try:
                        return own.run(self._on_blocking(own, work, call), deferred)
                    except Ended as exc:
                        wait = call.again(exc)
                    deferred.wait(time.sleep, wait)
            finally:
                blocking.give_back(own)

    async def _on_blocking(
        self, own: BlockingConnection, work: Callable[[Connection], Awaitable[T]], call: Call
    ) -> T:
        connection = own.connection
        if connection is not None and own.used_at < self._silent_at:
            connection = connection if await answers(connection) else None
        if connection is None:
            own.hold(None)
            connection = await self._connect()
            own.hold(connection)
        try:
            return await self._work(connection, work, call)
        finally:
            own.used_at = time.monotonic()
            if connection.is_closed():
                own.hold(None)

    # -- async

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection on the running loop."""
        return self._state().lend(self.wait, self._connect)

    async def take(self) -> Connection:
        """Return a connection of the running loop, for ``put``; who takes has a limit of his own.

        Who keeps a connection while other code of his borrows needs one, or they wait for each
        other.
        """
        state = self._state()
        return state.take() or await state.open(self._connect)

    def put(self, connection: Connection) -> None:
        """Keep what was taken for the next one who needs it."""
        self._state().put(connection)

    def _state(self) -> LoopState:
        loop = asyncio.get_running_loop()
        return self.opened.loops.get(loop) or self.opened.add(loop, self.size)

    async def arun(
        self,
        work: Callable[[Connection], Awaitable[T]],
        *,
        checked: bool = True,
        seconds: float | None = None,
        size: int | None = None,
    ) -> T:
        """Run ``work`` on a connection of the running loop, as ``run`` does."""
        call = Call(self.deadline if seconds is None else seconds, checked=checked, size=size)
        while True:
            async with self.connection() as connection:
                try:
                    return await self._work(connection, work, call)
                except Ended as exc:
                    wait = call.again(exc)
            await asyncio.sleep(wait)

    # -- both

    async def _work(
        self, connection: Connection, work: Callable[[Connection], Awaitable[T]], call: Call
    ) -> T:
        until = call.begin(time.monotonic())
        stall = self.check_stall(connection, until, call.size)
        # It counts the statements that the session was given to execute; a PREPARE is none.
        protocol: Any = connection._protocol  # type: ignore[attr-defined]  # pyright: ignore
        began = False
        executed: int | None = None
        try:
            if call.checked and not self._checked:
                await again(lambda: self._check(connection), until)
            executed = getattr(protocol, "queries_count", None)
            began = True
            if failpoints.armed is not None:
                failpoints.armed.reach("client.before", lambda: failpoints.shut(fd_of(connection)))
            answer = await again(lambda: work(connection), until)
            if failpoints.armed is not None:
                failpoints.armed.reach("client.after", _lose)
            return answer
        except Exception as exc:
            sent = began and (
                executed is None or executed != getattr(protocol, "queries_count", None)
            )
            left = aftermath(exc, closed=connection.is_closed(), sent=sent)
            standby = is_standby(connection)
            if left.unusable:
                connection.terminate()
            if left.undone:
                raise Ended(f"the session with {redact(self.dsn)} had ended: {exc}") from exc
            ours = as_ours(exc, self.dsn, lost=left.lost, standby=standby)
            if ours is exc:
                raise
            raise ours from exc
        except BaseException:
            # Whether it was carried out is unknown; a connection in mid-answer is of no use.
            connection.terminate()
            raise
        finally:
            if (asking := stall.end()) is not None:
                await asyncio.wait([asking])

    def check_stall(self, connection: Connection, until: float, size: int | None = 0) -> StallCheck:
        """Watch over what is about to be sent on a connection, until it has been answered.

        ``size``: see ``run``. Behind a pooler there is no session to ask about.
        """
        size = None if self.pooler != "none" else size
        return StallCheck(connection, until, size, self)

    def distrust(self) -> None:
        """Use no idle connection again before it has answered: one to that server was silent.

        Of event loops, the running one alone: a connection is asked on its own.
        """
        self._silent_at = time.monotonic()
        self.opened.distrust()

    def connect_to_ask(self) -> Awaitable[Connection]:
        """Open a session beside another one, to ask about that."""
        return self._connect(self.timings.ask, search_path="")

    async def _connect(self, seconds: float = _CONNECT_SECONDS, **settings: str) -> Connection:
        return await open_connection(
            self.source,
            name="pgqueue client",
            seconds=min(seconds, self.deadline),
            settings={**KEEPALIVES, **settings},
            pooler=self.pooler,
        )

    async def _check(self, connection: Connection) -> None:
        async with connection.transaction():
            milliseconds = str(int(self.deadline * 1000))
            await connection.fetchval(statement("await_schema", self.schema), milliseconds)
            done = await migrate.applied(connection, self.schema)
        migrate.check(done, self.schema)
        self._checked = True

    async def acheck(self) -> None:
        """Connect once, and raise Unreachable or SchemaError if this app cannot work there."""

        await self.arun(lambda _: asyncio.sleep(0))

    def rest(self) -> None:
        """Close the connections of the running loop that nobody was lent since the last call."""
        self.opened.rest()

    def recheck(self) -> None:
        """Look at the schema's version again with the next connection."""
        self._checked = False

    def close(self) -> None:
        """Close the connections of threads; those in use stay open until they are returned."""
        self.opened.close()

    async def aclose(self) -> None:
        """Close the idle connections of the running loop, and those of threads."""
        await self.opened.aclose()

    def __repr__(self) -> str:
        return f"<Pool {self.source!r} schema={self.schema!r}>"


def _lose() -> None:
    raise ConnectionResetError("cut after the answer")
