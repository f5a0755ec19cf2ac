"""What a data directory's postmaster.pid says, and whether it still is true."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Postmaster", "forget_stale", "read"]


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
        return str(self.data_dir) in arguments or self._accepts()

    def _accepts(self) -> bool:
        if self.port is None or self.socket_dir is None:
            return False
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            try:
                client.connect(str(self.socket_dir / f".s.PGSQL.{self.port}"))
            except OSError:
                return False
        return True


def read(data_dir: Path) -> Postmaster | None:
    """Read postmaster.pid; None when there is none, or when it is still being written."""
    try:
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
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


def forget_stale(data_dir: Path) -> None:
    """Remove the pid file of a dead server whose pid now belongs to another process.

    PostgreSQL itself sees to pid files with a dead pid, but takes any live process for a rival.
    Backends that outlived their server still keep a new one out, by the shared memory.
    """
    postmaster = read(data_dir)
    if postmaster is not None and not postmaster.is_running and _exists(postmaster.pid):
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
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    if Path("/proc/self").exists():
        return ""
    answer = subprocess.run(
        ["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout
