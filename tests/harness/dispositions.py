"""What a process that the harness starts does on a signal, wherever the harness was started."""

from __future__ import annotations

import signal

__all__ = ["let_children_heed"]

_NUMBERS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def let_children_heed() -> None:
    """Start programs with the default action for signals that this process ignores.

    ``nohup`` and the background of a script leave HUP, INT and QUIT ignored, and every program that
    is started inherits that. This process goes on as before: it hears them and does nothing. A
    handler, unlike SIG_IGN, is not inherited by a program.
    """
    for number in _NUMBERS:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, _do_nothing)


def _do_nothing(*_: object) -> None: ...
