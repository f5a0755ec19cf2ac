"""File locks that the kernel frees when their holder dies, however it dies.

A lock belongs to an open file: a forked child shares it with its parent and it is free when both
have closed it; a program that is exec'd does not inherit it. So locks are closed, never unlocked.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator
from pathlib import Path

from pgqueue.embedded.faults import open_own

if sys.platform != "win32":
    import fcntl

__all__ = ["exclusive", "held", "open_lock", "share", "try_exclusive"]


def open_lock(path: Path) -> int:
    """Open a lock file, made if it is not there. Raises OSError for a link, or somebody else's."""
    return open_own(path, os.O_RDWR)


def share(fd: int) -> None:
    """Wait for a shared lock."""
    fcntl.flock(fd, fcntl.LOCK_SH)


def exclusive(fd: int) -> None:
    """Wait for an exclusive lock."""
    fcntl.flock(fd, fcntl.LOCK_EX)


def try_exclusive(fd: int) -> bool:
    """Take an exclusive lock now or not at all; a shared lock of the same file is lost if not."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def held(path: Path) -> Generator[int]:
    """Hold an exclusive lock on ``path`` for the body, which gets its file descriptor."""
    fd = open_lock(path)
    try:
        exclusive(fd)
        yield fd
    finally:
        os.close(fd)
