"""Whom the server runs as: ourselves, or an unprivileged account when we are root."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pgqueue.errors import EmbeddedError

if sys.platform != "win32":
    import pwd

__all__ = ["Account", "current"]


@dataclass(frozen=True, slots=True)
class Account:
    """The user of a server. ``switch`` is true when subprocesses must change to it."""

    name: str
    uid: int
    gid: int
    switch: bool

    @property
    def user(self) -> int | None:
        return self.uid if self.switch else None

    @property
    def group(self) -> int | None:
        return self.gid if self.switch else None

    @property
    def extra_groups(self) -> Sequence[int] | None:
        return () if self.switch else None

    def own(self, path: Path) -> None:
        """Give a path that we have just made to this account."""
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def check_name(self) -> None:
        """Raise EmbeddedError where initdb would refuse: it looks for the name of its user."""
        try:
            pwd.getpwuid(self.uid)
        except KeyError:
            raise EmbeddedError(
                f"the uid {self.uid} has no entry in /etc/passwd, and PostgreSQL's initdb refuses "
                "to run without one; run as a user that has one, or give the dsn of a server"
            ) from None

    def check_owner(self, directory: Path) -> None:
        """Raise EmbeddedError for a directory of somebody else, who may run a server there."""
        owner = directory.stat().st_uid
        if directory.is_symlink() and (put_by := directory.lstat().st_uid) != os.geteuid():
            owner = put_by
        if owner != self.uid:
            raise EmbeddedError(
                f"{directory} belongs to uid {owner}, and the server would run as uid {self.uid}; "
                "run as its owner, or choose another directory"
            )

    def check_entry(self, directory: Path) -> None:
        """Raise EmbeddedError naming the first directory on the way that keeps the account out."""
        if not self.switch:
            return
        for place in (*reversed(directory.parents), directory):
            if not self._may_enter(place.stat()):
                raise EmbeddedError(
                    f'the user "{self.name}" cannot enter {place}. PostgreSQL refuses to run as '
                    f"root and runs as that user instead: choose a directory that it can reach, "
                    f"such as one below /var/lib, or run: chmod o+x '{place}'"
                )

    def _may_enter(self, status: os.stat_result) -> bool:
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def current() -> Account:
    """The account for servers: ``postgres`` or ``nobody`` for root, ourselves for all others."""
    if sys.platform == "win32":
        raise EmbeddedError(
            "the embedded PostgreSQL needs flock and does not run on Windows; "
            "give the dsn of a PostgreSQL server instead"
        )
    uid = os.geteuid()
    if uid != 0:
        return Account(str(uid), uid, os.getegid(), switch=False)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid, switch=True)
    raise EmbeddedError(
        "PostgreSQL refuses to run as root, and this machine has neither a user "
        '"postgres" nor a user "nobody" to run it as; run as another user'
    )
