"""Sends what pgqueue logs through the writer's thread, to the handlers that would have got it.

The process entries do so with all that they log; a worker inside another program does so with what
its heartbeat thread logs. A filter of the loggers takes the records. ``dictConfig`` leaves it
there, and the application's handlers are looked up when a record is written.
A forked process has no such thread, and logs as it would without us.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
from collections.abc import Generator
from typing import NoReturn

from pgqueue.observe.bounds import bound, settle
from pgqueue.observe.writer import Writer

__all__ = ["LOGGERS", "aside", "begin", "flush", "leave", "revive", "writer"]

# All of ours, and the one that event loops log to.
LOGGERS = (
    "pgqueue.worker",
    "pgqueue.supervisor",
    "pgqueue.rescue",
    "pgqueue.admin",
    "pgqueue.db",
    "asyncio",
)
_FLUSH = 1.0
_BRIEF_FLUSH = 0.5


class _State:
    """What this process sends aside: nothing, what some threads log, or everything."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.writer: Writer | None = None
        self.threads: set[int] = set()
        self.all = False


_state = _State()


class _Take(logging.Filter):
    """Bounds every record of ours; takes those that are to be written aside."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for what was taken: it is written by another thread."""
        here = writer()
        if here is None or not (_state.all or threading.get_ident() in _state.threads):
            if record.name != "asyncio":  # what others log there is theirs
                bound(record)
            return True
        settle(record, keep_error=here.is_short)
        here.put(logging.getLogger(record.name).callHandlers, record)
        return False


_take = _Take()


def writer() -> Writer | None:
    """Return the writer, if there is one and this is not its own thread."""
    here = _state.writer
    return None if here is None or here.is_here else here


def begin() -> None:
    """Send everything aside from now on, to the end of the process."""
    with _state.lock:
        _state.all = True
        _start()
    atexit.register(flush)


def flush(seconds: float = _FLUSH) -> bool:
    """Wait until all is written, or nothing was for so long; True if all was."""
    here = writer()
    return here is None or here.flush(seconds)


def leave(code: int) -> NoReturn:
    """End the process at once, but for what is still to be logged."""
    flush()
    os._exit(code)


@contextlib.contextmanager
def aside() -> Generator[None]:
    """Send aside what this thread logs in the body."""
    me = threading.get_ident()
    with _state.lock:
        _state.threads.add(me)
        _start()
    try:
        yield
    finally:
        with _state.lock:
            _state.threads.discard(me)
            last = None if _state.threads or _state.all else _state.writer
            if last is not None:
                _state.writer = None
        if last is not None:
            last.close(_BRIEF_FLUSH)
        else:
            flush(_BRIEF_FLUSH)


def revive() -> None:
    """Let our loggers be heard again: ``dictConfig`` disables those that it does not name."""
    for name, logger in tuple(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.split(".")[0] == "pgqueue":
            logger.disabled = False


def _start() -> None:
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_take)
    revive()
    if _state.writer is None:
        _state.writer = Writer()


def _forget() -> None:
    global _state  # noqa: PLW0603
    _state = _State()


os.register_at_fork(after_in_child=_forget)
