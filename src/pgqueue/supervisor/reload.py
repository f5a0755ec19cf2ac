"""Watches the files of a project, and says when Python code among them has changed.

The supervisor asks now and then, in its own loop: the file system is watched by watchfiles, and no
thread of ours waits for it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from pgqueue.errors import ConfigError

if TYPE_CHECKING:
    from watchfiles.main import FileChange

__all__ = ["Reload", "describe"]

_LOOK_SECONDS = 0.25
_ASK_MS = 1
# Editors write a file in several steps, and a checkout many files: they count as one change.
_QUIET_MS = 50
_GATHER_MS = 300


class Reload:
    """``directory``: what is below it is watched, but for caches and virtual environments."""

    def __init__(self, directory: str) -> None:
        try:
            import watchfiles
        except ImportError:
            raise ConfigError(
                'watchfiles is not installed; pip install "pgqueue-py[reload]", '
                "or leave out --reload"
            ) from None
        self.directory = directory
        self._next_look = 0.0
        self._changes: Iterator[set[FileChange]] = watchfiles.watch(
            directory,
            watch_filter=watchfiles.PythonFilter(),
            debounce=_GATHER_MS,
            step=_QUIET_MS,
            rust_timeout=_ASK_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
        )
        next(self._changes, None)  # it watches from now on

    def bound(self, timeout: float | None) -> float:
        """Return how long the supervisor may wait before it asks again; ``timeout``: at most."""
        wait = max(0.0, self._next_look - time.monotonic())
        return wait if timeout is None else min(wait, timeout)

    def changed(self) -> str | None:
        """Return what has changed since it was last asked, as "shop/jobs.py and 2 more"."""
        if time.monotonic() < self._next_look:
            return None
        self._next_look = time.monotonic() + _LOOK_SECONDS
        return describe({path for _, path in next(self._changes, ())}, self.directory)


def describe(paths: Collection[str], directory: str) -> str | None:
    """Name changed files as seen from the directory; None if there are none."""
    if not paths:
        return None
    first, *others = sorted(os.path.relpath(path, os.path.realpath(directory)) for path in paths)
    return f"{first} and {len(others)} more" if others else first
