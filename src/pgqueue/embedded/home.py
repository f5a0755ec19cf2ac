"""The directory of an embedded server: its files, and the rules for who may start and stop it.

``data/``        the PostgreSQL data directory
``server.log``   what the server says
``users.lock``   shared by every user, for as long as it uses the server
``start.lock``   exclusive while somebody joins, leaves, starts or stops
``keeper.lock``  exclusive for the life of the keeper, the process that stops the server

Whoever waits for more than one of them takes start.lock first and the others after it.
"""

from __future__ import annotations

import os
from pathlib import Path

from pgqueue.embedded import locks, postmaster
from pgqueue.embedded.binaries import find
from pgqueue.embedded.cluster import Cluster
from pgqueue.errors import EmbeddedError

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
            os.close(locks.open_lock(self.start_lock))
        except OSError as exc:
            raise EmbeddedError(f"cannot use {self.directory} for a server: {exc}") from exc

    def cluster(self, hold: int) -> Cluster:
        """The cluster, run by the PostgreSQL version that made it. Call it with start.lock held.

        ``hold`` is start.lock's file descriptor: initdb and pg_ctl keep it when we are killed, so
        that nobody else begins before they are through.
        """
        version_file = self.data_dir / "PG_VERSION"
        major = int(version_file.read_text()) if version_file.exists() else None
        log_file = self.directory / "server.log"
        return Cluster(self.data_dir, find(major), settings=_SETTINGS, log_file=log_file, hold=hold)

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
