"""What a blocking call runs on: a private event loop with one connection.

It is used by one thread at a time, so that no driver but asyncpg is needed and nothing runs in
the background. One that was interrupted is given up, with its loop and its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from pgqueue.db.connect import fd_of, is_readable
from pgqueue.db.interrupts import Deferred
from pgqueue.db.waits import waiting
from pgqueue.db.wrecks import keep, say_nothing
from pgqueue.errors import PoolTimeout, SyncInAsync

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["BlockingConnection", "BlockingConnections", "no_loop"]

T = TypeVar("T")

_END_SECONDS = 2.0


def no_loop(what: str, instead: str | None = None) -> None:
    """Raise SyncInAsync where an event loop runs, which a blocking call would block.

    ``instead``: what to await, if it is not the same name with an ``a`` before it.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise SyncInAsync(
        f"{what} would block the running event loop; await {instead or 'a' + what} instead"
        if what.isidentifier()
        else f"{what} would block the running event loop"
    )


class BlockingConnection:
    """A private loop and its connection; whoever holds it may run on it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.connection: Connection | None = None
        self.fd = -1
        self.used_at = 0.0
        self.given_up = False

    def hold(self, connection: Connection | None) -> None:
        """Keep a connection, or none: then the number of its socket is soon another's."""
        self.connection = connection
        self.fd = -1 if connection is None else fd_of(connection)

    def usable(self) -> bool:
        """False if the connection is gone; a readable idle socket means that the server hung up."""
        connection = self.connection
        return connection is not None and not connection.is_closed() and not is_readable(self.fd)

    def run(self, work: Coroutine[Any, Any, T], deferred: Deferred) -> T:
        """Run ``work`` to its end; the handlers of signals run between two steps of the loop."""
        loop = self.loop
        task = loop.create_task(work)
        task.add_done_callback(self._stop)
        deferred.wake = self._wake
        try:
            while not task.done():
                try:
                    loop.run_forever()
                except BaseException:
                    self._abandon(task)
                    raise
                try:
                    deferred.deliver()
                except BaseException:
                    self._end(task)
                    raise
        finally:
            deferred.wake = None
        return task.result()

    def _stop(self, _: object) -> None:
        self.loop.stop()

    def _wake(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)

    def _end(self, task: asyncio.Task[Any]) -> None:
        """Give up, between two steps: the loop is sound, and ends what is under way."""
        loop = self.loop
        loop.set_exception_handler(say_nothing)
        if self.connection is not None:
            self.connection.terminate()
        until = time.monotonic() + _END_SECONDS
        guard = loop.call_later(_END_SECONDS, loop.stop)
        while (left := asyncio.all_tasks(loop)) and time.monotonic() < until:
            for one in left:
                one.add_done_callback(self._stop)
                one.cancel()
            loop.run_forever()
        guard.cancel()
        if not task.done():
            self._abandon(task)
            return
        if not task.cancelled():
            task.exception()
        self.given_up = True
        self.close()

    def _abandon(self, task: asyncio.Task[Any]) -> None:
        """Give up in the middle of a step: neither the loop nor the driver can be trusted."""
        self.given_up = True
        connection = self.connection
        self.hold(None)
        with contextlib.suppress(Exception):
            self.loop.close()
        for own in _sockets(self.loop):
            with contextlib.suppress(OSError):
                own.shutdown(socket.SHUT_RDWR)  # a forked process may have it open too
            own.close()
        keep(self.loop, connection, task)

    def discard(self) -> None:
        """End the connection without a word."""
        connection = self.connection
        self.hold(None)
        if connection is not None and not connection.is_closed():
            connection.terminate()
            self.loop.run_until_complete(asyncio.sleep(0))

    def close(self) -> None:
        """Say goodbye to the server, and end the loop."""
        connection = self.connection
        with contextlib.suppress(Exception):
            if connection is not None and not connection.is_closed():
                self.loop.run_until_complete(asyncio.wait_for(connection.close(), 2.0))
        self.discard()
        self.loop.close()


def _sockets(loop: Any) -> list[socket.socket]:
    """Return the open sockets of a closed loop of asyncio; uvloop closes its own."""
    transports: Any = getattr(loop, "_transports", {})
    sockets = (getattr(transport, "_sock", None) for transport in list(transports.values()))
    return [own for own in sockets if own is not None]


class BlockingConnections:
    """At most ``size`` blocking for all threads of a process."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.spare: list[BlockingConnection] = []
        self._free = threading.BoundedSemaphore(size)

    def borrow(self, seconds: float, deferred: Deferred) -> BlockingConnection:
        """Return one whose connection seems open, or that has none."""
        free = self._free
        if not free.acquire(blocking=False) and not self._wait_turn(seconds, deferred):
            raise PoolTimeout(
                f"all {self.size} connections of this process were in use for {seconds:g} s; "
                "nothing was sent; raise pool_size"
            )
        try:
            return self._next()
        except BaseException:
            free.release()
            raise

    def _wait_turn(self, seconds: float, deferred: Deferred) -> bool:
        with waiting():
            return deferred.wait(lambda span: self._free.acquire(timeout=span), seconds)

    def _next(self) -> BlockingConnection:
        try:
            own = self.spare.pop()
        except IndexError:
            return BlockingConnection()
        if not own.usable():
            own.discard()
        return own

    def give_back(self, own: BlockingConnection) -> None:
        """Take one back; one that was given up is gone."""
        if not own.given_up:
            self.spare.append(own)
        self._free.release()

    def close(self) -> None:
        """Close the blocking that nobody uses."""
        with Deferred():
            while self.spare:
                self.spare.pop().close()
