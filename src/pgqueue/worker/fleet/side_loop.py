"""A thread with an event loop of its own, and calls between that loop and the one that made it."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Callable
from typing import Any, Protocol

from pgqueue.observe.aside import aside

__all__ = ["Resident", "SideLoop"]

log = logging.getLogger("pgqueue.worker")


class Resident(Protocol):
    """Who lives on a side loop. All but ``on_exit`` is called in its thread."""

    async def live(self) -> None:
        """Do all that is to be done there."""
        ...

    def on_failed(self, error: BaseException) -> None:
        """``live`` ended by an error."""
        ...

    def on_owner_closed(self) -> None:
        """The loop that made the thread was closed, and can be told nothing."""
        ...

    def on_exit(self) -> None:
        """The interpreter ends while the thread runs."""
        ...


class SideLoop:
    """Made on the loop that owns it. A handler may block that one: this one runs on."""

    def __init__(self, name: str, resident: Resident) -> None:
        self._resident = resident
        self._owner = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._ended = asyncio.Event()  # set and awaited on the owner's loop
        # Written once by the thread, read by any: None before the loop runs.
        self._loop: asyncio.AbstractEventLoop | None = None

    # -- from the owner's loop

    def start(self) -> None:
        """Begin to live, once."""
        if self._thread.ident is None:
            self._thread.start()
            atexit.register(self._exit)

    async def wait_ended(self, seconds: float) -> bool:
        """Wait until the thread ends; False if it has not after so many seconds."""
        if self._thread.ident is None:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            return False
        self._thread.join(1.0)
        return True

    # -- from any thread

    def call(self, call: Callable[[], object]) -> None:
        """Have something called on this loop, if it runs."""
        if self._loop is not None:
            _call(self._loop, call)

    def join(self, seconds: float) -> None:
        """Block for so many seconds, or until the thread ends."""
        if self._thread.ident is not None and seconds > 0:
            self._thread.join(seconds)

    # -- in the thread

    def tell(self, call: Callable[[], object]) -> None:
        """Have something called on the owner's loop."""
        if not _call(self._owner, call):
            self._resident.on_owner_closed()

    async def ask(self, call: Callable[[], object]) -> None:
        """Have something called on the owner's loop, and wait until it was."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[None] = loop.create_future()

        def ask() -> None:
            try:
                call()
            finally:
                _call(loop, lambda: answer.done() or answer.set_result(None))

        self.tell(ask)
        await answer

    def _main(self) -> None:
        with aside():  # no heartbeat waits for who reads the log
            self._run()

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as exc:
            self._resident.on_failed(exc)
            log.exception("the heartbeat thread failed")
        finally:
            atexit.unregister(self._exit)
            self.tell(self._ended.set)

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._resident.live()

    def _exit(self) -> None:
        if self._pid == os.getpid():
            self._resident.on_exit()


def _call(loop: asyncio.AbstractEventLoop, call: Callable[[], Any]) -> bool:
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        log.debug("a loop was closed before it could be told")
        return False
    return True
