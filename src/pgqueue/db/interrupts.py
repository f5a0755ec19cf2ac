"""Signals during a blocking call: their handlers run between two steps of it, never inside one.

A handler may raise (Ctrl-C, gunicorn's SystemExit, a timeout by SIGALRM). Python runs handlers in
the main thread between any two bytecodes: inside asyncpg, inside the event loop, or between taking
a connection and noting that it was taken. An exception there crashes the interpreter, is swallowed
by a callback of the loop, or leaves our own books wrong. So for the length of a blocking call a
handler of ours stands in place of each of the program's. It notes the signal and wakes the loop.
The program's handler is called as soon as the loop has ended its step, a moment later.
"""

from __future__ import annotations

import _signal  # pyright: ignore[reportMissingImports]
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

__all__ = ["Deferred"]

_STEP_SECONDS = 0.05
Handler = Callable[[int, FrameType | None], Any]

# Without the wrappers of `signal`, which take ten times as long over their enums.
_own_signal: Any = _signal
_get_handler: Callable[[int], Any] = _own_signal.getsignal
_set_handler: Callable[[int, Any], Any] = _own_signal.signal
_NUMBERS = sorted(
    int(number) for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
)
_holding: Deferred | None = None  # the one that holds handlers back now


class Deferred:
    """Holds back the program's handlers while it is entered; they run at ``deliver`` and at exit.

    Outside the main thread, where Python runs no handlers, it does nothing, nor within another one,
    as when a finaliser closes a client. What a handler raises comes out of ``deliver`` or of the
    exit, unchanged. After the exit all is as it was.
    """

    __slots__ = ("_active", "came", "handlers", "wake")

    def __init__(self) -> None:
        self.wake: Callable[[], object] | None = None
        self._active = False
        self.came: list[tuple[int, FrameType | None]] = []
        # Never emptied: a stand-in that an exception kept in its place forwards to these.
        self.handlers: dict[int, Handler] = {}

    @property
    def active(self) -> bool:
        """True if handlers are held back."""
        return self._active

    def __enter__(self) -> Self:
        if threading.get_ident() == threading.main_thread().ident and (
            _holding is None or not _holding._active
        ):
            self._stand_in()
        return self

    def __exit__(self, *_: object) -> None:
        if self._active:
            self._step_aside()

    def deliver(self) -> None:
        """Call the handlers of the signals that have come."""
        if self.came:
            try:
                self._step_aside()
            finally:
                self._stand_in()

    def wait(self, for_: Callable[[float], object], seconds: float) -> bool:
        """Call ``for_`` with a span that it waits at most, until it answers true, or time is up.

        It is called with short spans while handlers are held back: they get their turn between.
        """
        until = time.monotonic() + seconds
        while True:
            left = max(0.0, until - time.monotonic())
            if for_(min(left, _STEP_SECONDS) if self._active else left):
                return True
            if left <= _STEP_SECONDS or not self._active:
                return False
            self.deliver()

    def _stand_in(self) -> None:
        global _holding  # noqa: PLW0603
        _holding = self
        self._active = True
        try:
            for number in _NUMBERS:
                handler = _get_handler(number)
                if callable(handler):
                    self.handlers[number] = _own(handler, number)
                    _set_handler(number, self._note)
        except ValueError:
            self._active, _holding = False, None  # a subinterpreter, which gets no signals
        except BaseException:
            self._step_aside()
            raise

    def _step_aside(self) -> None:
        global _holding  # noqa: PLW0603
        self._active = False  # from here on a stand-in forwards
        _holding = None
        try:
            for number, handler in self.handlers.items():
                if _get_handler(number) == self._note:
                    _set_handler(number, handler)
        finally:
            came, self.came = self.came, []
            self._call(came)

    def _call(self, came: list[tuple[int, FrameType | None]]) -> None:
        if not came:
            return
        (number, frame), *others = came
        try:
            self.handlers[number](number, frame)
        finally:
            self._call(others)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Stand in for a handler of the program."""
        if not self._active:
            self.handlers[number](number, frame)
            return
        self.came.append((number, frame))
        if self.wake is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed
                self.wake()


def _own(handler: Handler, number: int) -> Handler:
    """Return the program's own handler, where a stand-in of an earlier call was left in place."""
    while isinstance(earlier := getattr(handler, "__self__", None), Deferred):
        handler = earlier.handlers[number]
    return handler


def _let_go() -> None:
    """In a forked process nobody delivers: the thread that was in the call is not there."""
    if _holding is not None:
        _holding.wake = None  # it would wake the loop of the parent
        _holding.came.clear()  # they came to the parent
        _holding._step_aside()  # pyright: ignore[reportPrivateUsage]


os.register_at_fork(after_in_child=_let_go)
