"""The command line's handler: writes lines to stderr, in the writer's thread if there is one."""

from __future__ import annotations

import logging
import os
import select
from copy import copy
from typing import Any, TextIO

from pgqueue.observe.aside import flush, writer
from pgqueue.observe.bounds import settle

__all__ = ["StderrHandler"]


class StderrHandler(logging.StreamHandler[TextIO]):
    """Like a StreamHandler, but that it never waits: not for who reads, nor for its own lock.

    It writes to the descriptor itself. The buffer of a stream has a lock, which a thread that waits
    there would keep from the end of the process, and from forked ones.
    """

    def createLock(self) -> None:  # noqa: N802
        """Make none: the writer's thread is the only one that writes, or each line is one write."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> Any:
        """Filter and emit. From Python 3.13 on, the standard one fails without a lock."""
        taken: Any = self.filter(record)  # from Python 3.12 on, a filter may return a record
        if taken:
            self.emit(taken if isinstance(taken, logging.LogRecord) else record)
        return taken

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or have it written."""
        here = writer()
        if here is None:
            self.write(record)
        else:
            record = copy(record)  # other handlers get it, too
            settle(record, keep_error=here.is_short)
            here.put(self.write, record)

    def write(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            line = self.format(record) + self.terminator
            number = self._descriptor()
            if number is None:
                self.stream.write(line)
                self.stream.flush()
            else:
                _write_all(number, line.encode(self.stream.encoding or "utf-8", "backslashreplace"))
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Wait until what was logged is written, for a moment at most."""
        flush()

    def _descriptor(self) -> int | None:
        try:
            return self.stream.fileno()
        except (AttributeError, OSError, ValueError):
            return None


def _write_all(number: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(number, data) :]
        except BlockingIOError:  # somebody who shares it made it so
            select.select([], [number], [])
