"""Whether the server is still at work on a statement, or its connection has fallen silent.

A statement may rightly take long: it waits for a unique key, or for a disk. So none is given up for
its length alone before its deadline. After some seconds another session is asked what the first one
is doing; if the server has done with it, or nobody answers there either, the connection is ended.

The server is idle, too, while a statement is on its way to it, and while a large answer is on its
way back. So it must have been idle for longer than a slow line takes for what is sent, and only
about statements with small answers is anybody asked.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from pgqueue.errors import Unreachable

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["ASK_SECONDS", "Doubt"]

log = logging.getLogger("pgqueue.db")

ASK_SECONDS = 4.0
"""How long to wait for that other session, and for its answer."""

_AFTER = 5.0
_BYTES_PER_SECOND = 100_000
_IDLE_SECONDS = 2.0


class Doubt:
    """Watches over what is under way on a connection until ``end``; from the loop it belongs to.

    ``until``: when it is given up in any case, in monotonic seconds. ``size``: how many bytes are
    sent at most; None: nobody is asked. ``sql``: the statement that tells. ``connect``: opens
    another session. ``on_silent`` is called once the connection was found silent and ended.
    """

    __slots__ = (
        "_ask",
        "_connect",
        "_connection",
        "_idle",
        "_loop",
        "_on_silent",
        "_sql",
        "_timer",
        "_until",
    )

    def __init__(
        self,
        connection: Connection,
        until: float,
        size: int | None,
        sql: str,
        connect: Callable[[], Awaitable[Connection]],
        on_silent: Callable[[], object],
    ) -> None:
        self._connection = connection
        self._until = until
        self._idle = None if size is None else _IDLE_SECONDS + size / _BYTES_PER_SECOND
        self._sql = sql
        self._connect = connect
        self._on_silent = on_silent
        self._loop = asyncio.get_running_loop()
        self._ask: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(self._wait(), self._wonder)

    def end(self) -> asyncio.Task[None] | None:
        """Stop watching; return what is about to end, if somebody was being asked."""
        self._timer.cancel()
        if self._ask is not None:
            self._ask.cancel()
        return self._ask

    def _wait(self) -> float:
        left = max(0.0, self._until - time.monotonic())
        return left if self._idle is None else min(_AFTER, left)

    def _wonder(self) -> None:
        if self._idle is None or time.monotonic() >= self._until:
            self._connection.terminate()
        else:
            self._ask = self._loop.create_task(self._find_out(self._idle))

    async def _find_out(self, idle: float) -> None:
        if await self._is_silent(idle):
            log.warning("no answer, and the server is not at work on it: ending the connection")
            self._connection.terminate()
            self._on_silent()
        else:
            self._timer = self._loop.call_later(self._wait(), self._wonder)

    async def _is_silent(self, idle: float) -> bool:
        try:
            other = await self._connect()
        except Exception as exc:
            # A refusal is an answer.
            return isinstance(exc, Unreachable) and isinstance(exc.__cause__, TimeoutError)
        try:
            async with asyncio.timeout(ASK_SECONDS):
                pid = self._connection.get_server_pid()
                return bool(await other.fetchval(self._sql, pid, idle))
        except TimeoutError:
            return True
        except Exception as exc:
            log.debug("nobody tells what a session does: %s", exc)
            return False
        finally:
            other.terminate()
