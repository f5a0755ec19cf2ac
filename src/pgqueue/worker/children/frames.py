"""What a worker and its child processes say to each other: JSON values with a length before each.

Either side reads in order. A child answers a job before it reads the next one, so what it had not
answered when it died is the job that it ran.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

__all__ = ["Frames", "Hello", "Order", "Said", "pack"]

_HEADER = 4


class Hello(msgspec.Struct):
    """The first word to a child: which app it imports, and from where.

    ``level``: from which level on it passes on what is logged. ``dsn``: of a worker of several
    servers, the one whose jobs it runs.
    """

    target: str
    path: list[str]
    level: int
    deadline: float
    dsn: str | None = None


class Order(msgspec.Struct):
    """A job to run: its row, as far as a handler may ask for it, and the receipt."""

    row: dict[str, Any]
    token: int


class Said(msgspec.Struct, omit_defaults=True):
    """What a child says: it is ready or failed to start; something was logged; how a job ended.

    ``done``: it returned; ``completed``: in its own transaction. ``failed``: with ``type``,
    ``text`` and ``trace``, and ``outcome`` is what the task's policy makes of it.
    """

    kind: Literal["ready", "unfit", "log", "done", "failed"]
    text: str = ""
    trace: str = ""
    type: str = ""
    name: str = ""
    level: int = 0
    completed: bool = False
    used: float | None = None
    outcome: Literal["retry", "snooze", "dead"] = "dead"
    delay: float = 0.0
    pause: Literal["flow", "key"] | None = None
    reason: str = ""
    waited: bool = False


_encode = msgspec.json.Encoder().encode


def pack(value: Hello | Order | Said) -> bytes:
    """Return a value as it is sent."""
    try:
        body = _encode(value)
    except UnicodeEncodeError:  # a lone surrogate, as in the names of some files
        body = _encode(_cleaned(value))
    return len(body).to_bytes(_HEADER, "big") + body


def _cleaned(value: Hello | Order | Said) -> Hello | Order | Said:
    texts = {
        name: _clean(text)
        for name, text in msgspec.structs.asdict(value).items()
        if isinstance(text, str)
    }
    cleaned = msgspec.structs.replace(value, **texts)
    if isinstance(cleaned, Hello):
        cleaned.path = [_clean(entry) for entry in cleaned.path]
    return cleaned


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


class Frames:
    """Takes what comes, in pieces of any size, and returns the values that are whole."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add what has come; yield each value that is whole, as JSON."""
        rest = self._rest
        rest += data
        begin = 0
        try:
            while len(rest) - begin >= _HEADER:
                end = begin + _HEADER + int.from_bytes(rest[begin : begin + _HEADER], "big")
                if end > len(rest):
                    break
                body = bytes(rest[begin + _HEADER : end])
                begin = end
                yield body
        finally:
            del rest[:begin]
