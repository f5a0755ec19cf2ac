"""Which jobs wait for a connection of ours just now: a timeout that strikes then is not theirs."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Generator

from pgqueue.errors import Unreachable

__all__ = ["NotBegun", "Waits", "waiting"]


class NotBegun(Unreachable):
    """What a job needs of ours could not be had, a connection or a thread: nothing was done yet."""


class Waits:
    """The waits of one job: those of its tasks and threads as well, whose contexts are copies."""

    __slots__ = ("_all",)

    def __init__(self) -> None:
        self._all: set[object] = set()  # one add and one discard each: from any thread

    @classmethod
    def of_this_context(cls) -> Waits:
        """Return one that sees what waits in this context and in those copied from it."""
        waits = cls()
        _current.set(waits)
        return waits

    @property
    def under_way(self) -> bool:
        """True if anything of the job's waits."""
        return bool(self._all)

    def begin(self, wait: object) -> None:
        self._all.add(wait)

    def end(self, wait: object) -> None:
        self._all.discard(wait)


_current: contextvars.ContextVar[Waits | None] = contextvars.ContextVar(
    "pgqueue waits", default=None
)


@contextlib.contextmanager
def waiting() -> Generator[None]:
    """Note that the job behind this call, if any, waits for a connection in the body."""
    waits = _current.get()
    if waits is None:
        yield
        return
    wait = object()
    waits.begin(wait)
    try:
        yield
    finally:
        waits.end(wait)
