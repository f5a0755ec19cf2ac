"""A value that is refused: why, and its path, gathered from the inside out."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable

from pgqueue.errors import shown as short

__all__ = ["Check", "Refused", "joined", "key_step", "mismatch", "said", "short"]

Check = Callable[[object, int], None]
"""``check(value, depth)``: returns, or raises Refused."""

_LONGEST = 80
_STEPS_SHOWN = 12


class Refused(Exception):
    """Raised by a check; each container that it passes through puts its own step in front."""

    def __init__(self, why: str, *steps: str) -> None:
        super().__init__(why)
        self.why = why
        self.steps = list(reversed(steps))

    def under(self, step: str) -> Refused:
        """Put ``step`` in front of the path."""
        self.steps.append(step)
        return self

    @property
    def path(self) -> str:
        """The path, as in ``$.order.lines[3].price``; the middle of a very long one is left out."""
        steps = self.steps[::-1]
        if len(steps) > 2 * _STEPS_SHOWN:
            steps = [*steps[:_STEPS_SHOWN], "...", *steps[-_STEPS_SHOWN:]]
        return "$" + "".join(steps)


def key_step(key: object) -> str:
    """The step of a path into an object: ``.name``, or ``["any key"]``."""
    if type(key) is str:
        if key.isidentifier():
            return f".{key}"
        return f"[{json.dumps(key[:_LONGEST])}]"
    return f"[{short(key)}]"


def joined(path: str, inner: str) -> str:
    """The path ``inner``, which starts at ``path``: both begin with ``$``."""
    return path + inner.removeprefix("$")


def mismatch(expected: str, value: object, hint: str = "") -> Refused:
    """The refusal of a value of the wrong type."""
    kind = type(value).__name__
    given = "None" if value is None else f"{kind} {short(value)}"
    return Refused(f"expected {expected}, got {given}{'; ' + hint if hint else ''}")


def said(error: BaseException) -> str:
    """The first line of an error's message, which may itself fail to be had.

    One that a signal's handler has raised says nothing of the value: it is raised again.
    """
    if _is_of_a_handler(error):
        raise error
    try:
        text = str(error).strip()
    except Exception:
        text = ""
    line = text.splitlines()[0] if text else ""
    return f"{type(error).__name__}: {line[:200]}" if line else type(error).__name__


def _is_of_a_handler(error: BaseException) -> bool:
    """True if a handler of a signal raised it, whatever it came in between."""
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    codes = {getattr(getattr(one, "__func__", one), "__code__", None) for one in handlers}
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code in codes:
            return True
        traceback = traceback.tb_next
    return False
