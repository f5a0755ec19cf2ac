"""Signal handlers of one process, and not of those that its jobs fork."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Generator, Iterable
from types import FrameType

__all__ = ["heeding"]


@contextlib.contextmanager
def heeding(numbers: Iterable[signal.Signals], call: Callable[[int], None]) -> Generator[None]:
    """Call ``call`` on these signals for the body; afterwards put back what was there.

    Not by the event loop's own handlers: a forked process shares the descriptor that wakes the
    loop, and a signal to it, as a process pool sends to end one, would reach the loop of its
    parent. A forked process ends by these signals, as it would without us.
    """
    pid = os.getpid()

    def on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if os.getpid() == pid:
            call(number)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
