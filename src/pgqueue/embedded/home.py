"""The directory of an embedded server: its files, and the rules for who may start and stop it.

``data/``        the PostgreSQL data directory
``server.log``   what the server says
``users.lock``   shared by every user, for as long as it uses the server
``start.lock``   exclusive while somebody joins, leaves, starts or stops
``keeper.lock``  exclusive for the life of the keeper, the process that stops the server

Whoever waits for more than one of them takes start.lock first and the others after it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pgqueue.embedded import locks, postmaster
from pgqueue.embedded.account import current
from pgqueue.embedded.binaries import find
from pgqueue.embedded.cluster import Cluster
from pgqueue.errors import EmbeddedError, nearest

__all__ = ["Home"]

_TRIES = 3
_SETTINGS = {
    "shared_buffers": "64MB",
    "max_connections": "100",
    "log_line_prefix": "%m [%p] ",
    "jit": "off",
}


class Home:
    """DIR of ``embedded:DIR``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self.users_lock = directory / "users.lock"
        self.start_lock = directory / "start.lock"
        self.keeper_lock = directory / "keeper.lock"

    def make(self) -> None:
        """Make the directory, or check that it can be one of ours."""
        if (self.directory / "PG_VERSION").exists():
            raise EmbeddedError(
                f"{self.directory} is a PostgreSQL data directory itself; embedded: wants a "
                "directory of its own, new or made by it before"
            )
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except FileExistsError as exc:
            raise NotADirectoryError(exc.errno, "it is no directory", str(self.directory)) from None
        os.close(locks.open_lock(self.start_lock))
        if self.data_dir.exists():
            current().check_owner(self.data_dir)

    @property
    def has_cluster(self) -> bool:
        """Whether a server's data are there."""
        return (self.data_dir / "PG_VERSION").exists()

    def refuse_to_make(self) -> EmbeddedError:
        """Return the error for who only wants what is there already."""
        parent = self.directory.parent
        with contextlib.suppress(OSError):
            others = [one.name for one in parent.iterdir() if Home(one).has_cluster]
            if guess := nearest(self.directory.name, others):
                return EmbeddedError(f"there is no PostgreSQL in {self.directory}{guess}")
        return EmbeddedError(
            f"there is no PostgreSQL in {self.directory}; pgqueue migrate makes one there"
        )

    def cluster(self, hold: int) -> Cluster:
        """The cluster, run by the PostgreSQL version that made it. Call it with start.lock held.

        ``hold`` is start.lock's file descriptor: initdb and pg_ctl keep it when we are killed, so
        that nobody else begins before they are through.
        """
        major = self._major() if self.has_cluster else None
        log_file = self.directory / "server.log"
        return Cluster(self.data_dir, find(major), settings=_SETTINGS, log_file=log_file, hold=hold)

    def _major(self) -> int:
        file = self.data_dir / "PG_VERSION"
        text = file.read_text(errors="replace").strip()
        if not text.isdecimal():
            raise EmbeddedError(f"{file} should hold a version, such as 18, and holds {text!r:.80}")
        return int(text)

    def stop_if_unused(self) -> None:
        """Stop the server unless somebody uses it. Call it with start.lock held."""
        if not self.data_dir.exists():
            return
        users = locks.open_lock(self.users_lock)
        try:
            for _ in range(_TRIES):
                if locks.try_exclusive(users):
                    postmaster.stop(self.data_dir)
                    return
                # A user, or a keeper that has just woken and lets go at once: waits for the latter.
                locks.share(users)
        finally:
            os.close(users)
