"""Whether the server is still at work on a statement, or its connection has fallen silent.

A statement may rightly take long: it waits for a unique key, or for a disk. So none is given up for
its length alone before its deadline; and then one that waits for a lock is cancelled, which the
server answers. After some seconds another session is asked what the first one
is doing; if the server has done with it, or nobody answers there either, the connection is ended.

The server is idle, too, while a statement is on its way to it, and while a large answer is on its
way back. So it must have been idle for longer than a slow line takes for what is sent, and only
about statements with small answers is anybody asked.

Nor is it silent if it has answered and nobody has read that, because other code held up the loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from pgqueue.db.call import CALL_SECONDS, LEAST_SECONDS
from pgqueue.db.connect import fd_of, is_readable
from pgqueue.db.statements import statement
from pgqueue.errors import Unreachable

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["STALL", "Asks", "Questions", "StallCheck", "StallTimings", "Step", "next_step"]

log = logging.getLogger("pgqueue.db")

_BYTES_PER_SECOND = 100_000
# A loop that is so late was held up by other code, and has not read what came meanwhile.
_LATE_SECONDS = 1.0
# Where nobody answers, a server may be slow to let a session in: it is asked once more.
_ASK_TIMES = 2


@dataclass(frozen=True, slots=True)
class StallTimings:
    """How long a statement is trusted, in seconds. Tests hand in others."""

    after: float = 5.0  # a statement that takes longer is asked about
    idle: float = 2.0  # the server must have been idle for longer, and for what is sent
    read: float = 0.1  # the loop reads by then what has come
    ask: float = 4.0  # to wait for the other session, and for its answer


STALL = StallTimings()

# Each time takes a connection and an answer. What is found silent by then can be done again.
assert STALL.after + _ASK_TIMES * 2 * STALL.ask < CALL_SECONDS - LEAST_SECONDS
assert STALL.read < _LATE_SECONDS < STALL.ask


class Questions:
    """What another session is asked in this schema."""

    def __init__(self, schema: str) -> None:
        self.is_silent = statement("is_silent", schema)
        self.cancel = statement("cancel_waiting", schema)


class Asks(Protocol):
    """A pool, as far as its connections may fall silent."""

    timings: StallTimings

    @property
    def questions(self) -> Questions: ...

    def connect_to_ask(self) -> Awaitable[Connection]:
        """Open another session."""
        ...

    def distrust(self) -> None:
        """Hear that a connection was found silent and ended."""


class Step(Enum):
    """What to do about a statement that is still under way when the timer has gone off."""

    READ = auto()  # let the loop read what may have come, and look again
    END = auto()  # end the connection: there is no session to ask about
    GIVE_UP = auto()  # cancel a wait for a lock; end the connection if it is none
    ASK = auto()  # ask another session whether the server is at work on it


def next_step(*, late: float, heard: bool, asks: bool, left: float) -> Step:
    """Say what to do.

    ``late``: how much later the loop ran than it was to; ``heard``: something has come that it has
    not read; ``asks``: there is a session to ask about; ``left``: seconds until it is given up.
    """
    if heard or late > _LATE_SECONDS:
        return Step.READ
    if not asks:
        return Step.END
    return Step.GIVE_UP if left <= 0.0 else Step.ASK


class StallCheck:
    """Watches over what is under way on a connection until ``end``; from the loop it belongs to.

    ``until``: when it is given up in any case, in monotonic seconds. ``size``: how many bytes are
    sent at most; None: nobody is asked. ``pool``: whose the connection is.
    """

    __slots__ = (
        "_ask",
        "_cancelled",
        "_connection",
        "_expected",
        "_idle",
        "_loop",
        "_pool",
        "_timer",
        "_until",
    )

    def __init__(self, connection: Connection, until: float, size: int | None, pool: Asks) -> None:
        self._connection = connection
        self._until = until
        self._idle = None if size is None else pool.timings.idle + size / _BYTES_PER_SECOND
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._ask: asyncio.Task[None] | None = None
        self._cancelled = False
        self._expected = 0.0
        self._arm(time.monotonic())

    def end(self) -> asyncio.Task[None] | None:
        """Stop watching; return what is about to end, if somebody was being asked."""
        self._timer.cancel()
        if self._ask is not None:
            self._ask.cancel()
        if self._cancelled:
            self._connection.terminate()  # the cancel may come late, and hit the next statement
        return self._ask

    def _arm(self, now: float) -> None:
        left = max(0.0, self._until - now)
        seconds = left if self._idle is None else min(self._pool.timings.after, left)
        self._expected = now + seconds
        self._timer = self._loop.call_later(seconds, self._wonder)

    def _wonder(self) -> None:
        now = time.monotonic()
        late = now - self._expected
        if late > _LATE_SECONDS:
            self._until += late  # nobody could read an answer meanwhile
        idle, left = self._idle, self._until - now
        match next_step(late=late, heard=self._is_heard(), asks=idle is not None, left=left):
            case Step.READ:
                read = self._pool.timings.read
                self._expected = now + read
                self._timer = self._loop.call_later(read, self._wonder)
            case Step.END:
                self._connection.terminate()
            case Step.GIVE_UP:
                self._ask = self._loop.create_task(self._give_up())
            case Step.ASK:
                assert idle is not None
                self._ask = self._loop.create_task(self._find_out(idle))

    def _is_heard(self) -> bool:
        """True if something has come that the loop has not read yet."""
        return not self._connection.is_closed() and is_readable(fd_of(self._connection))

    async def _find_out(self, idle: float) -> None:
        if await self._is_silent(idle):
            log.warning("no answer, and the server is not at work on it: ending the connection")
            self._connection.terminate()
            self._pool.distrust()
        else:
            self._arm(time.monotonic())

    async def _give_up(self) -> None:
        """Cancel a wait for a lock, so that it is told as what it was; end anything else."""
        self._cancelled = True
        if await self._ask_once(self._pool.questions.cancel, self._connection.get_server_pid()):
            ask = self._pool.timings.ask
            self._timer = self._loop.call_later(ask, self._connection.terminate)
        else:
            self._connection.terminate()

    async def _is_silent(self, idle: float) -> bool:
        longest = self._pool.timings.ask * 2 + _LATE_SECONDS
        for _ in range(_ASK_TIMES):
            began = time.monotonic()
            answer = await self._ask_once(
                self._pool.questions.is_silent, self._connection.get_server_pid(), idle
            )
            if self._is_heard() or time.monotonic() - began > longest:
                return False  # or the loop was held up, and an answer lay there unread
            if answer is not None:
                return answer
        return True

    async def _ask_once(self, sql: str, *args: object) -> bool | None:
        """Return what another session says; None if nobody answers."""
        try:
            other = await self._pool.connect_to_ask()
        except Exception as exc:
            # A refusal is an answer.
            unanswered = isinstance(exc, Unreachable) and isinstance(exc.__cause__, TimeoutError)
            return None if unanswered else False
        try:
            async with asyncio.timeout(self._pool.timings.ask):
                return bool(await other.fetchval(sql, *args))
        except TimeoutError:
            return None
        except Exception as exc:
            log.debug("nobody tells what a session does: %s", exc)
            return False
        finally:
            other.terminate()
