"""Directories that the server's account can enter, and programs that use a server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests.harness.places import open_place
from tests.harness.servers import missing

from pgqueue.embedded import find, leave, locks, postmaster
from pgqueue.errors import EmbeddedError

_PROGRAM = """\
import sys
from pgqueue.embedded import join, leave
print(join(sys.argv[1]), flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


class User:
    """Another process that has joined the server and obeys lines of Python."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def do(self, line: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.read()

    def quit(self) -> None:
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="session", autouse=True)
def _wheel() -> None:
    try:
        find()
    except EmbeddedError as exc:
        missing(str(exc))


@pytest.fixture
def directory() -> Iterator[Path]:
    """A place for a server; whatever still runs there at the end is killed."""
    with open_place("embedded-") as home:
        target = home / "pg"
        yield target
        leave(target)
        kill_keepers(target)
        postmaster.stop(target / "data", "immediate")


@pytest.fixture
def new_user(directory: Path) -> Iterator[Callable[[], User]]:
    users: list[User] = []

    def new() -> User:
        users.append(User(directory))
        return users[-1]

    yield new
    for user in users:
        user.kill()


@pytest.fixture
def running(directory: Path) -> Callable[[], bool]:
    def ask() -> bool:
        server = postmaster.read(directory / "data")
        return server is not None and server.is_running

    return ask


@pytest.fixture
def kept(directory: Path) -> Callable[[], bool]:
    """Whether somebody holds keeper.lock."""

    def ask() -> bool:
        fd = locks.open_lock(directory / "keeper.lock")
        try:
            return not locks.try_exclusive(fd)
        finally:
            os.close(fd)

    return ask


def kill_keepers(directory: Path) -> list[int]:
    killed: list[int] = []
    for process in psutil.process_iter(["cmdline"]):
        if (process.info["cmdline"] or [])[-2:] == ["pgqueue.embedded.keeper", str(directory)]:
            os.kill(process.pid, signal.SIGKILL)
            killed.append(process.pid)
    return killed
