"""Systems over Redis, and the Redis: a server of the benchmark's own, as Debian packages it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.procs import tree_cpu
from benchmarks.systems.base import HOME, Missing, PythonSystem

__all__ = ["UNSAVED", "RedisDatabase", "RedisServer", "RedisSystem", "install_redis", "own_redis"]

_ROOT = HOME / "redis"
_PACKAGES = ("redis-server", "redis-tools", "libjemalloc2", "liblzf1", "libatomic1")
UNSAVED = "over Redis, whose default persistence loses what a crash finds unsaved; "


@dataclass(frozen=True)
class RedisSystem(PythonSystem):
    """``unfinished`` has the Redis commands whose answers add up to the jobs that are left."""

    workloads: Sequence[str] = ("drain", "bulk", "single")

    def version(self) -> str:
        _program()
        return super().version()


class RedisServer:
    wal = 0  # it writes none

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self._pid = pid

    @property
    def cpu(self) -> float:
        return tree_cpu([self._pid])

    def ask(self, command: str) -> str:
        """Send a command, return the first line of the answer, or all of a long one."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(command.encode() + b"\r\n")
            with connection.makefile("rb") as answer:
                line = answer.readline().decode().strip()
                if line.startswith("$"):
                    return answer.read(int(line[1:])).decode()
                return line


class RedisDatabase:
    """Stands in for a run's PostgreSQL database."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.dsn = f"redis://127.0.0.1:{server.port}/0"

    def count(self, commands: str) -> int:
        return sum(int(self.server.ask(command).lstrip(":")) for command in commands.split("; "))

    def transactions(self) -> int:
        """Commands processed so far."""
        for line in self.server.ask("INFO stats").splitlines():
            if line.startswith("total_commands_processed:"):
                return int(line.partition(":")[2])
        return 0

    def wait_until_left(self) -> None: ...


@contextlib.contextmanager
def own_redis() -> Iterator[RedisServer]:
    """A new server in memory, with the snapshots of its default and no log of appends."""
    with tempfile.TemporaryDirectory(prefix="pgqueue-bench-redis-") as home:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        program, environment = _program()
        process = subprocess.Popen(
            [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", home],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        server = RedisServer(port, process.pid)
        try:
            _wait(server)
            yield server
        finally:
            process.terminate()
            process.wait(10)


def _wait(server: RedisServer) -> None:
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(OSError):
            if server.ask("PING") == "+PONG":
                return
        if time.monotonic() > deadline:
            raise Missing("redis-server did not start")
        time.sleep(0.02)


def _program() -> tuple[str, dict[str, str]]:
    if program := shutil.which("redis-server"):
        return program, dict(os.environ)
    program = _ROOT / "usr" / "bin" / "redis-check-rdb"  # redis-server is a link to it
    if not program.exists():
        raise Missing("redis-server is not installed, and Debian's package could not be had")
    server = program.with_name("redis-server")
    libraries = next(iter(Path(_ROOT, "usr", "lib").glob("*-linux-gnu")), _ROOT)
    return str(server), {**os.environ, "LD_LIBRARY_PATH": str(libraries)}


def install_redis() -> str | None:
    """Unpack Debian's packages beside the environments; the machine is left as it is."""
    with contextlib.suppress(Missing):
        _program()
        return None
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        return "redis-server is not installed"
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            ["apt-get", "download", *_PACKAGES],
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return f"apt-get download failed: {done.stderr.strip().splitlines()[-1]}"
        for package in Path(directory).glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(package), str(_ROOT)], check=True)
    return None
