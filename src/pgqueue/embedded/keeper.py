"""The keeper: a process that waits for the last user of an embedded server and stops the server.

``python -m pgqueue.embedded.keeper DIR``, started by the first user with the exclusive lock of
DIR/keeper.lock as its standard input. It outlives all users, so that even killing the last one,
with no chance to clean up, stops the server.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from pgqueue.embedded import locks, postmaster
from pgqueue.embedded.home import Home

__all__ = ["main"]


def main(directory: str) -> None:
    """Fork, so that our parent has no child to wait for; then keep."""
    home = Home(Path(directory))
    users = locks.open_lock(home.users_lock)
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)  # its life is that of the last user
    if os.fork():
        os._exit(0)
    os.dup2(1, 2)  # our parent reads standard error to its end

    locks.exclusive(users)
    unchanged = _same_file(users, home.users_lock)
    os.close(users)  # start.lock comes first; a new user may get in before it
    if not unchanged:
        return  # DIR was removed, and what is there now has its own keeper

    while True:
        with locks.held(home.start_lock):
            users = locks.open_lock(home.users_lock)
            if locks.try_exclusive(users):
                postmaster.stop(home.data_dir)
                os.close(0)  # keeper.lock, before start.lock: who joins next must not count on us
                return
        locks.exclusive(users)
        os.close(users)


def _same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    main(sys.argv[1])
