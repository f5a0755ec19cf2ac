"""Until when statements in threads may take: one thread looks, in place of a timer for each.

libpq would wait for ever. A statement whose time is over loses its connection: the socket is shut
down, and who waits for the answer hears of that.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Generator
from os import dup
from typing import TYPE_CHECKING, Any

from pgqueue.db.waits import NotBegun

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["Deadlines"]

_LOOK_EVERY = 0.25


class Deadlines:
    """Watches over what is under way. Its thread starts with the first, and sleeps without any."""

    def __init__(self) -> None:
        self._due: dict[object, tuple[float, Connection[Any]]] = {}
        self._lock = threading.Lock()  # around the start and the end of the thread
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._closed = threading.Event()

    @contextlib.contextmanager
    def at_most(self, seconds: float, connection: Connection[Any]) -> Generator[None]:
        """Shut the connection's socket down if the body takes longer, by a quarter of a second.

        Where no thread can be had for that, the connection is closed: NotBegun.
        """
        if self._thread is None:
            try:
                self._start()
            except RuntimeError as exc:
                connection.close()
                raise NotBegun(f"no thread could be had for its deadline: {exc}") from exc
        key = object()
        self._due[key] = (time.monotonic() + seconds, connection)
        if not self._wake.is_set():
            self._wake.set()
        try:
            yield
        finally:
            self._due.pop(key, None)

    def close(self) -> None:
        """End the thread. The next deadline would start another one."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._closed.set()
            self._wake.set()
        if thread is not None:
            thread.join()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._closed.clear()
                thread = threading.Thread(target=self._look, name="pgqueue-deadlines", daemon=True)
                thread.start()
                self._thread = thread

    def _look(self) -> None:
        while not self._closed.is_set():
            self._wake.clear()
            if not self._due:
                self._wake.wait()  # whoever adds one sets it
            self._closed.wait(_LOOK_EVERY)
            now = time.monotonic()
            for key, (until, connection) in tuple(self._due.items()):
                if until <= now and self._due.pop(key, None) is not None:
                    _hang_up(connection)


def _hang_up(connection: Connection[Any]) -> None:
    with contextlib.suppress(Exception):
        own = socket.socket(fileno=dup(connection.fileno()))
        with own:
            own.shutdown(socket.SHUT_RDWR)
