"""How a worker that has nothing to run does without the connection of its duties.

What is quick runs on the heartbeat's connection then, for a quarter of a second at most: so long a
heartbeat waits for it, and no longer. What takes longer opens the connection of the duties.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from pgqueue.db.exchange import begin_with, fetch_within
from pgqueue.db.faults import Contended
from pgqueue.db.link import Link
from pgqueue.db.source import Source

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["Borrower", "Lender"]

_BRIEF = {"statement_timeout": "250"}


class Lender(Link):
    """A connection that another role may use as well: its statements wait for each other."""

    def __init__(self, source: str | Source, **how: Any) -> None:
        super().__init__(source, **how)
        self._turn = asyncio.Lock()

    async def _guarded(
        self, work: Callable[[Connection], Awaitable[list[Record]]], deadline: float | None
    ) -> list[Record]:
        async with self._turn:
            return await super()._guarded(work, deadline)

    async def brief(self, sql: str, *args: Any) -> list[Record]:
        """Run one statement; Contended if the server has not done it in a quarter of a second."""
        begin = begin_with({**self._session.local, **_BRIEF})
        return await self._guarded(lambda c: fetch_within(c, begin, sql, args), None)


class Borrower(Link):
    """A connection that is opened for what is not quick, or while the worker is busy.

    ``busy``: whether the worker has something to run.
    """

    def __init__(
        self,
        source: str | Source,
        *,
        lender: Lender,
        busy: Callable[[], object],
        **how: Any,
    ) -> None:
        super().__init__(source, **how)
        self._lender = lender
        self._busy = busy

    async def quick(self, sql: str, *args: Any) -> list[Record]:
        """Run one statement where there is a connection for it; on its own if it is not quick."""
        if not self.connected and self._lender.connected and not self._busy():
            try:
                return await self._lender.brief(sql, *args)
            except Contended:
                pass
        return await self.fetch(sql, *args)
