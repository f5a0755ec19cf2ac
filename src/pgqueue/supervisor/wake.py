"""Signals that wake who waits in a selector: each is a byte on a socket."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Generator, Iterable
from types import FrameType

from pgqueue.worker.signals import heard

__all__ = ["has_terminal", "waking"]


@contextlib.contextmanager
def waking(numbers: Iterable[signal.Signals]) -> Generator[socket.socket]:
    """Turn the signals that are heard into bytes on a socket for the body.

    Afterwards the handlers that were there are put back.
    """
    woken, waker = socket.socketpair()
    with woken, waker:
        woken.setblocking(False)
        waker.setblocking(False)
        before = {number: signal.getsignal(number) for number in heard(numbers)}
        before_fd = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        try:
            for number in before:
                signal.signal(number, _heed)
            yield woken
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            signal.set_wakeup_fd(before_fd)


def _heed(number: int, frame: FrameType | None) -> None:
    """Do nothing: the byte on the socket is what counts."""


def has_terminal() -> bool:
    """True if this process has a terminal, whose closing HUP would tell."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
