"""What a data directory's postmaster.pid says, and whether it still is true."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pgqueue.errors import EmbeddedError

__all__ = ["Postmaster", "StopMode", "forget_stale", "read", "stop"]

StopMode = Literal["fast", "immediate"]

_POLL_SECONDS = 0.01
_ANSWER_SECONDS = 5.0
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # the smallest question: yes or no, in one byte


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The server that wrote the pid file; it may be gone, and its pid be somebody else's."""

    pid: int
    data_dir: Path
    port: int | None = None
    socket_dir: Path | None = None
    status: str = "starting"

    @property
    def is_running(self) -> bool:
        """True for a live server of this data directory, also while it starts or stops.

        The arguments settle nearly everything; the socket is asked for a server that was started
        by hand, with a relative path.
        """
        arguments = _arguments(self.pid)
        if "postgres" not in arguments and "postmaster" not in arguments:
            return False
        return str(self.data_dir) in arguments or self.answers()

    def answers(self) -> bool:
        """Whether it answers a client; one that was killed may still be listed, but does not."""
        if self.port is None or self.socket_dir is None:
            return False
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_ANSWER_SECONDS)
            try:
                client.connect(str(self.socket_dir / f".s.PGSQL.{self.port}"))
                client.sendall(_SSL_REQUEST)
                return bool(client.recv(1))
            except OSError:
                return False


def read(data_dir: Path) -> Postmaster | None:
    """Read postmaster.pid; None when there is none, or when it is still being written."""
    try:
        lines = os.fsdecode((data_dir / "postmaster.pid").read_bytes()).splitlines()
    except OSError:
        return None
    lines += [""] * (8 - len(lines))
    pid, _, _, port, socket_dir, _, _, status = (line.strip() for line in lines[:8])
    if not pid.lstrip("-").isdigit():
        return None
    return Postmaster(
        abs(int(pid)),
        data_dir,
        int(port) if port.isdigit() else None,
        Path(socket_dir) if socket_dir else None,
        status or "starting",
    )


def stop(data_dir: Path, mode: StopMode = "fast", *, timeout_s: float = 60.0) -> None:
    """Stop the server and wait for its end: ``fast`` with a checkpoint, ``immediate`` without.

    A server that is not down after ``timeout_s`` seconds is stopped the immediate way. Needs none
    of PostgreSQL's programs, which may have been removed or upgraded since the start.
    """
    server = read(data_dir)
    if server is None or not server.is_running:
        return
    if not _signal(server, mode, timeout_s) and not _signal(server, "immediate", timeout_s):
        raise EmbeddedError(f"PostgreSQL (pid {server.pid}) on {data_dir} does not stop")
    if server.socket_dir is not None and server.socket_dir != data_dir:
        with contextlib.suppress(OSError):
            server.socket_dir.rmdir()


def _signal(server: Postmaster, mode: StopMode, timeout_s: float) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(server.pid, signal.SIGINT if mode == "fast" else signal.SIGQUIT)
    deadline = time.monotonic() + timeout_s
    while server.is_running:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def forget_stale(data_dir: Path) -> None:
    """Remove the pid files of a dead server whose pid now belongs to another process.

    PostgreSQL itself sees to files with a dead pid, but takes any live process for a rival, and
    so a zombie that a container without an init never reaps. Backends that outlived their server
    still keep a new one out, by the shared memory.
    """
    server = read(data_dir)
    if server is None or server.is_running or not _exists(server.pid):
        return
    if server.socket_dir is not None and server.port is not None:
        lock = server.socket_dir / f".s.PGSQL.{server.port}.lock"
        with contextlib.suppress(OSError):
            if lock.read_text().split()[0].lstrip("-") == str(server.pid):
                lock.unlink()
    (data_dir / "postmaster.pid").unlink(missing_ok=True)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _arguments(pid: int) -> str:
    """The command line of a process, blank for none and for a zombie."""
    with contextlib.suppress(OSError):
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" "))
    if Path("/proc/self").exists():
        return ""
    answer = subprocess.run(
        ["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout
