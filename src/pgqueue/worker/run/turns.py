"""So many turns at connections. Who waits for one may be handed the last one's connection."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, Protocol, TypeVar

__all__ = ["Turns"]


class _Ends(Protocol):
    def terminate(self) -> None: ...


T = TypeVar("T", bound=_Ends)


class Turns(Generic[T]):
    """First come, first served; on one event loop."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[asyncio.Future[T | None]] = deque()

    @property
    def all_taken(self) -> bool:
        return self._free == 0

    @property
    def awaited(self) -> bool:
        """True if somebody waits."""
        return any(not waiter.done() for waiter in self._waiting)

    async def take(self) -> T | None:
        """Wait for a turn; return what was handed on with it, if anything was."""
        if self._free:
            self._free -= 1
            return None
        waiter: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self.give(waiter.result())
            raise

    def give(self, handed: T | None) -> None:
        """Give a turn back, and a connection on with it to who has waited longest.

        A connection that nobody waits for any more is ended: a transaction is open on it.
        """
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(handed)
                return
        self._free += 1
        if handed is not None:
            handed.terminate()
