"""What the system refuses, as our own error; and whose a file is."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import subprocess
from collections.abc import Generator
from pathlib import Path

from pgqueue.errors import EmbeddedError, PgQueueError

__all__ = ["as_ours", "open_own"]


@contextlib.contextmanager
def as_ours(what: str) -> Generator[None]:
    """Raise EmbeddedError, beginning with ``what``, for what the system or a program refuses."""
    try:
        yield
    except PgQueueError:
        raise
    except (OSError, subprocess.SubprocessError, ValueError) as exc:
        raise EmbeddedError(f"{what}: {exc}") from exc


def open_own(path: Path, flags: int) -> int:
    """Open a file of ours, made if it is not there: no link, and nobody else's.

    In a directory that others may write to, somebody may have put one there. Raises OSError.
    """
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.EMLINK):  # BSD says the latter
            raise OSError(exc.errno, "it is a symbolic link; remove it", str(path)) from None
        raise
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
        return fd
    os.close(fd)
    said = f"it is not a file of ours (uid {os.geteuid()}), but of uid {status.st_uid}"
    if not stat.S_ISREG(status.st_mode):
        said = "it is no regular file"
    raise PermissionError(errno.EPERM, f"{said}; remove it", str(path))
