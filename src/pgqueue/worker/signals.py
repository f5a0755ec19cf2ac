"""Signal handlers of one process, and not of those that its jobs fork."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable
from types import FrameType
from typing import Any

__all__ = ["heard", "heeding"]

_LEFT_ALONE = frozenset({signal.SIGHUP, signal.SIGINT})
_found: list[dict[signal.Signals, Any]] = []  # what was there before us, outermost first
_masks = threading.local()  # of the thread that forks


def heard(numbers: Iterable[signal.Signals]) -> list[signal.Signals]:
    """Those of the signals that a worker or a supervisor takes.

    A HUP or INT that is ignored already stays ignored: ``nohup`` asks for the first, a shell that
    starts a job in the background of a script for the second. All others are taken.
    """
    return [n for n in numbers if n not in _LEFT_ALONE or signal.getsignal(n) != signal.SIG_IGN]


@contextlib.contextmanager
def heeding(numbers: Iterable[signal.Signals], call: Callable[[int], None]) -> Generator[None]:
    """Call ``call`` on those that are heard, for the body; afterwards put back what was there.

    Not by the event loop's own handlers: a forked process shares the descriptor that wakes the
    loop, and a signal to it, as a process pool sends to end one, would reach the loop of its
    parent. A forked process takes these signals as it would without us, from its first moment.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        call(number)

    before: dict[signal.Signals, Any] = {}
    _found.append(before)
    try:
        for number in heard(numbers):
            before[number] = signal.getsignal(number)
            signal.signal(number, on_signal)
        yield
    finally:
        _put_back(_found.pop())


def _put_back(before: dict[signal.Signals, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


# A handler in Python is no substitute for the default action: it runs between two instructions, so
# never in a forked process that is inside a call, and a signal that comes before the interpreter
# has got over the fork is thrown away. So they wait during a fork until our handlers are gone.


def _hold() -> None:
    ours = {number for before in _found for number in before}
    _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, ours)


def _let_go() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)


def _disown() -> None:
    for before in reversed(_found):
        _put_back(before)
        before.clear()
    _let_go()


os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_disown)
