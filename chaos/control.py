"""How the conductor speaks to producers: a small file that they read before each enqueue."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

__all__ = ["Control", "Word"]

_SIZE = 128


class Word(msgspec.Struct):
    """``room``: how many more jobs may wait. ``calm``: hold back, so that the queue is empty.

    ``stop``: whoever adds or changes jobs leaves. ``over``: none is left to be cancelled either.
    """

    room: int = 0
    calm: bool = False
    stop: bool = False
    over: bool = False


class Control:
    """The file: one writer, many readers."""

    def __init__(self, path: Path | str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._last = Word()

    def say(self, word: Word) -> None:
        os.pwrite(self._fd, msgspec.json.encode(word).ljust(_SIZE), 0)

    def heard(self) -> Word:
        """What was said last; what was said before it, where that is being overwritten."""
        with contextlib.suppress(msgspec.DecodeError):
            self._last = msgspec.json.decode(os.pread(self._fd, _SIZE, 0), type=Word)
        return self._last
