"""Embedded servers and their users: several processes share one, and it stops with the last.

A user holds a share of users.lock. The kernel takes it away from a dead process, which is all that
makes a killed user harmless: the keeper waits for the lock to be free of users.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from pgqueue.embedded import account, locks
from pgqueue.embedded.faults import as_ours
from pgqueue.embedded.home import Home
from pgqueue.errors import ConfigError, EmbeddedError

__all__ = ["is_embedded", "join", "leave", "resolve"]

_PREFIX = "embedded:"


@dataclass(slots=True)
class _Use:
    """Our share of one users.lock: taken by the first join of this process, freed by as many
    leaves, or by the end of the process and of all that it has forked."""

    users: int
    joins: int = 0


_uses: dict[Path, _Use] = {}
_guard = (
    threading.RLock()
)  # of _uses; held over a fork, so that a child never sees a join half made

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_guard.release
    )


def is_embedded(dsn: str) -> bool:
    return dsn.startswith(_PREFIX)


def resolve(dsn: str, *, create: bool = True) -> str:
    """Turn ``embedded:DIR`` into the dsn of DIR's server, joining it; return others unchanged.

    Blocks for a second or so where the server must be started. See ``join`` for ``create``.
    """
    if not is_embedded(dsn):
        return dsn
    directory = dsn.removeprefix(_PREFIX)
    if not directory.strip():
        raise ConfigError(
            'the dsn "embedded:" names no directory; write embedded:DIR, '
            "where DIR is to hold the server's data, such as embedded:.pgqueue"
        )
    return join(directory, create=create)


def join(directory: Path | str, *, create: bool = True) -> str:
    """Start the server whose data lives in ``directory``, or join it, and return its dsn.

    The server is there until this process has called leave() as often as join(), or has ended.
    Raises EmbeddedError when it cannot be found, made or started; without ``create`` also where
    there are no data yet, and then nothing is made.
    """
    account.current()
    home = Home(_normal(directory))
    with _guard, as_ours(f"cannot use {home.directory} for a server"):
        if not create and not home.has_cluster:
            raise home.refuse_to_make()
        home.make()
        with locks.held(home.start_lock) as hold:
            use = _uses.get(home.directory) or _Use(_share(home))
            try:
                _ensure_keeper(home)
                cluster = home.cluster(hold)
                if not cluster.is_initialized:
                    cluster.initdb()
                cluster.start()
            except BaseException:
                if not use.joins:
                    os.close(use.users)
                raise
            use.joins += 1
            _uses[home.directory] = use
            return cluster.dsn


def leave(directory: Path | str) -> None:
    """Take one join() back; the last user's last leave stops the server before it returns."""
    home = Home(_normal(directory))
    with _guard, as_ours(f"cannot leave the server of {home.directory}"):
        use = _uses.get(home.directory)
        if use is None:
            return
        use.joins -= 1
        if not use.joins:
            _end(home)


def _end(home: Home) -> None:
    """Free our share and stop the server if that was the last."""
    use = _uses.pop(home.directory)
    if not home.directory.exists():
        os.close(use.users)
        return
    with locks.held(home.start_lock):
        os.close(use.users)
        home.stop_if_unused()


def _share(home: Home) -> int:
    users = locks.open_lock(home.users_lock)
    locks.share(users)
    return users


def _ensure_keeper(home: Home) -> None:
    """Start a keeper unless there is one. Call it with start.lock and a share of users held."""
    keeping = locks.open_lock(home.keeper_lock)
    try:
        if not locks.try_exclusive(keeping):
            return
        if not sys.executable:
            raise EmbeddedError("sys.executable is not set: there is no Python for the keeper")
        # The keeper inherits the lock itself: at no time is there a keeper without it. -P and the
        # path make sure that it imports this pgqueue, and from where we do.
        path = [str(Path(__file__).parents[2]), *filter(None, sys.path)]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pgqueue.embedded.keeper", str(home.directory)],
            stdin=keeping,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            check=False,
            cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
            start_new_session=True,
        )
    finally:
        os.close(keeping)
    if done.returncode:
        raise EmbeddedError(f"the keeper of {home.directory} did not start:\n{done.stderr.strip()}")


def _normal(directory: Path | str) -> Path:
    try:
        return Path(directory).expanduser().resolve()
    except RuntimeError:
        raise EmbeddedError(
            f'"{directory}" begins with a home directory that cannot be found: HOME is not set, or '
            "the uid or the user has no entry in the system's accounts; write the whole path"
        ) from None
    except (OSError, ValueError) as exc:  # no current directory, a loop of links
        raise EmbeddedError(f"cannot find the directory {str(directory)!r}: {exc}") from exc


@atexit.register
def _leave_all() -> None:
    with _guard:
        for directory in list(_uses):
            with contextlib.suppress(EmbeddedError, OSError):
                _end(Home(directory))
