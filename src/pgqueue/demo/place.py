"""Where the demo runs: a server, and a directory for what is not in the database."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pgqueue import embedded
from pgqueue.embedded import locks
from pgqueue.embedded.faults import as_ours
from pgqueue.embedded.home import Home

__all__ = ["Place", "lend_place"]

_TRIES = 100


@dataclass(frozen=True, slots=True)
class Place:
    """``dsn`` is to be connected to; ``name`` is how a user of it would name the same server."""

    dsn: str
    name: str
    log: Path


@contextmanager
def lend_place(dsn: str | None, *, keep: bool) -> Generator[Place, None, None]:
    """Lend the server of ``dsn``, or start one in a temporary directory.

    Afterwards the directory is removed, unless it is to be kept for the data in it.
    """
    with as_ours("cannot make a directory for the demo"):
        directory = Path(tempfile.mkdtemp(prefix="pgqueue-demo-"))
    name = dsn or f"embedded:{directory / 'server'}"
    try:
        if os.name == "posix" and os.geteuid() == 0:
            directory.chmod(0o711)  # the server runs as somebody else
        yield Place(embedded.resolve(name), name, directory / "workers.log")
    except BaseException:
        keep = False
        raise
    finally:
        try:
            if embedded.is_embedded(name):
                embedded.leave(name.partition(":")[2])
            if dsn is None:
                _make_sure(Home(directory / "server"))
        finally:
            if dsn is not None or not keep:
                _remove(directory)


def _make_sure(home: Home) -> None:
    """Stop a server whose start was interrupted, before its files are removed."""
    if home.directory.exists():
        with as_ours(f"cannot stop the server in {home.directory}"), locks.held(home.start_lock):
            home.stop_if_unused()


def _remove(directory: Path) -> None:
    """Remove it, also if the server's keeper opens a file in it at that moment."""
    for _ in range(_TRIES):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
