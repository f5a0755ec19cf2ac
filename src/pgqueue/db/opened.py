"""What a pool has open in this process: connections of threads, and those of event loops."""

from __future__ import annotations

import asyncio
import os

from pgqueue.db.blocking import BlockingConnections, no_loop
from pgqueue.db.loops import LoopState

__all__ = ["Opened"]


class Opened:
    """Belongs to one process, ``pid``. After a fork the child starts with none.

    A blocking call compares ``pid`` with its own process, and calls ``forked`` if they differ.
    """

    def __init__(self, size: int) -> None:
        self.loops: dict[asyncio.AbstractEventLoop, LoopState] = {}
        self._inherited: list[object] = []
        self.start(size)

    def start(self, size: int) -> None:
        """Start with no connection of threads, and at most ``size`` of them."""
        self.pid = os.getpid()
        self.blocking = BlockingConnections(size)

    def forked(self, size: int) -> None:
        """Start anew in a child, and leave the parent's sockets alone."""
        # Kept as they are: closing them would change the epoll that the parent still waits on.
        self._inherited += [*self.blocking.spare, *self.loops.items()]
        self.loops.clear()
        self.start(size)

    def add(self, loop: asyncio.AbstractEventLoop, size: int) -> LoopState:
        """Begin with a loop that has had none."""
        self._drop_closed_loops()
        state = self.loops[loop] = LoopState(size)
        return state

    def distrust(self) -> None:
        """Lend none that is idle on the running loop before it has answered."""
        if (state := self.loops.get(asyncio.get_running_loop())) is not None:
            state.distrust()

    def rest(self) -> None:
        """Close those of the running loop that nobody was lent since the last call."""
        if (state := self.loops.get(asyncio.get_running_loop())) is not None:
            state.rest()

    def close(self) -> None:
        """Close those of threads; those in use stay open until they are returned."""
        self._drop_closed_loops()
        if self.blocking.spare:
            no_loop("close")
            if self.pid == os.getpid():
                self.blocking.close()

    async def aclose(self) -> None:
        """Close the idle ones of the running loop, and those of threads."""
        if (state := self.loops.pop(asyncio.get_running_loop(), None)) is not None:
            await state.close()
        if self.blocking.spare:
            await asyncio.get_running_loop().run_in_executor(None, self.close)

    def _drop_closed_loops(self) -> None:
        """Hang up on the sessions of event loops that ended without ``aclose``."""
        if self.pid != os.getpid():
            return
        for loop in list(self.loops):
            if loop.is_closed() and (state := self.loops.pop(loop, None)) is not None:
                state.hang_up()
