"""Writes what is logged in a thread of its own: who logs never waits for who reads the log."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

__all__ = ["IDLE_SECONDS", "Writer"]

IDLE_SECONDS = 1.0
"""When nothing was logged for so long, the thread ends."""

_LIMIT = 4000
_ERRORS_KEPT = 20
_YIELD = 0.005
_YIELDS = 100
_QUICK = 5
_LONGEST_FLUSH = 5.0

_Write = Callable[[logging.LogRecord], object]


class Writer:
    """A bounded queue of records, and the thread that writes them in their order.

    The thread ends when nothing was logged for a second, and begins anew when something is.
    When the queue is full, records are dropped until half of it is written. Then the log says how
    many were dropped, where they would have stood.
    """

    def __init__(self, limit: int = _LIMIT, idle: float = IDLE_SECONDS) -> None:
        self._limit = limit
        self._idle = idle
        # One that signal handlers may enter again.
        self._lock = threading.RLock()
        self._queue: SimpleQueue[tuple[_Write, logging.LogRecord] | threading.Event | None]
        self._queue = SimpleQueue()
        self._dropped = 0
        self._written = 0
        self._vain = (
            0  # how often the thread was given way to in vain since the queue was half full
        )
        self._thread: threading.Thread | None = None

    @property
    def is_here(self) -> bool:
        """True in the thread that writes."""
        return threading.current_thread() is self._thread

    @property
    def is_short(self) -> bool:
        """True if only a few records wait: they may hold on to the frames of their errors."""
        return self._queue.qsize() < _ERRORS_KEPT

    def put(self, write: _Write, record: logging.LogRecord) -> None:
        """Have a record written, or dropped. Gives way to the thread where it is behind."""
        if self._queue.qsize() >= self._limit and not self._dropped:
            self._let_write()
        with self._lock:
            if self._dropped or self._queue.qsize() >= self._limit:
                self._dropped += 1
            else:
                self._hand((write, record))

    def _hand(self, item: tuple[_Write, logging.LogRecord] | threading.Event | None) -> None:
        with self._lock:
            self._queue.put(item)
            if self._thread is not None:
                return
            self._thread = threading.Thread(target=self._run, name="pgqueue-log", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:
                # None can be had at the end of the interpreter, or at a limit of the system.
                self._thread = None
                self._queue.put(None)
        if self._thread is None:
            self._run()

    def _let_write(self) -> None:
        """Give way to the thread, which had no time. A slow reader is waited for briefly only."""
        while self._vain < _YIELDS and self._queue.qsize() >= self._limit:
            written = self._written
            time.sleep(_YIELD)
            if self._written < written + _QUICK:
                self._vain += 1

    def flush(self, seconds: float) -> bool:
        """Wait until all is written, while something is in each ``seconds``; True if all was."""
        if self.is_here:
            return False
        passed = threading.Event()
        self._hand(passed)
        end = time.monotonic() + _LONGEST_FLUSH
        written = self._written
        while not passed.wait(seconds):
            if self._written == written or time.monotonic() > end:
                return False
            written = self._written
        return True

    def close(self, seconds: float) -> bool:
        """End the thread when all is written; leave it behind if nobody reads."""
        flushed = self.flush(seconds)
        thread = self._thread
        if thread is not None:
            self._queue.put(None)
            if flushed:
                thread.join(seconds)
        return flushed

    # -- in the thread

    def _run(self) -> None:
        while (item := self._next()) is not None:
            if isinstance(item, threading.Event):
                if self._say_dropped():
                    self._queue.put(item)  # to wait for that as well
                else:
                    item.set()
                continue
            self._write(*item)
            if self._queue.qsize() <= self._limit // 2:
                self._vain = 0
                if self._dropped:
                    self._say_dropped()

    def _next(self) -> tuple[_Write, logging.LogRecord] | threading.Event | None:
        """Wait for what is to be done; None at the end."""
        try:
            return self._queue.get(timeout=self._idle)
        except Empty:
            with self._lock:
                if not self._queue.empty():
                    return self._queue.get()
                self._thread = None
                return None

    def _say_dropped(self) -> bool:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
            if dropped:
                logger = logging.getLogger("pgqueue.log")
                note = logger.makeRecord(
                    logger.name, logging.WARNING, __file__, 0,
                    "%d lines of the log were dropped here: nobody read it", (dropped,), None,
                )  # fmt: skip
                self._queue.put((logger.callHandlers, note))
        return dropped > 0

    def _write(self, write: _Write, record: logging.LogRecord) -> None:
        try:
            write(record)
        except BaseException:  # a handler of the user's may call sys.exit()
            if logging.raiseExceptions:
                with suppress(OSError, ValueError):
                    traceback.print_exc()
        self._written += 1
