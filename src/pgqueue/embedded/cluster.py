"""One PostgreSQL cluster on a unix socket: make it, start it, stop it.

Nothing here is shared or locked: see server.py for servers with several users.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from urllib.parse import quote

from pgqueue.embedded import account as accounts
from pgqueue.embedded import postmaster
from pgqueue.embedded.binaries import Binaries
from pgqueue.embedded.faults import as_ours, open_own
from pgqueue.embedded.relocate import reachable
from pgqueue.errors import EmbeddedError

__all__ = ["Cluster"]

PORT = 5432
_POLL_SECONDS = 0.01
_MAX_SOCKET_DIR = 90  # bytes; a unix socket's path has 104 of them on macOS, 108 on Linux
_MAX_LOG = 8 * 2**20  # bytes; beyond that the log is put aside at the next start
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Cluster:
    """A PostgreSQL data directory and the server on it.

    ``settings`` are given to the server on its command line and win over postgresql.conf.
    The server logs to ``log_file``, by default server.log beside the data directory. ``hold`` is a
    file descriptor that initdb and pg_ctl, but not the server, keep open while they run.

    The socket lives in the data directory, which is its account's alone: authentication is trust.
    Only where that path will not do for one, it is in a private directory in the temporary one.
    """

    def __init__(
        self,
        data_dir: Path | str,
        binaries: Binaries,
        *,
        settings: Mapping[str, str] | None = None,
        log_file: Path | None = None,
        hold: int | None = None,
    ) -> None:
        self.data_dir = Path(data_dir).resolve()
        self.settings = {**_SETTINGS, **(settings or {})}
        self.log_file = log_file or self.data_dir.parent / "server.log"
        self._account = accounts.current()
        self._binaries = binaries
        self._hold = hold

    @property
    def is_initialized(self) -> bool:
        return (self.data_dir / "PG_VERSION").exists()

    @property
    def is_running(self) -> bool:
        """Whether a server is alive on this data directory, also while it starts or stops."""
        server = postmaster.read(self.data_dir)
        return server is not None and server.is_running

    @property
    def pid(self) -> int | None:
        """The process id of the live server."""
        server = postmaster.read(self.data_dir)
        return server.pid if server is not None and server.is_running else None

    @property
    def socket_dir(self) -> Path:
        """Where the server listens: as it says, or where it would if it were started."""
        server = postmaster.read(self.data_dir)
        if server is not None and server.socket_dir is not None and server.is_running:
            return server.socket_dir
        if _fits_a_dsn(self.data_dir):
            return self.data_dir
        name = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]
        directory = Path(tempfile.gettempdir(), f"pgqueue-{name}")
        if len(os.fsencode(directory)) <= _MAX_SOCKET_DIR:
            return directory
        return Path("/tmp", directory.name)  # noqa: S108  (made and verified in _make_socket_dir)

    @property
    def dsn(self) -> str:
        """The connection string for the superuser ``postgres``."""
        return self.dsn_for("postgres")

    def dsn_for(self, database: str) -> str:
        host = quote(str(self.socket_dir), safe="/")
        return f"postgresql://postgres@/{quote(database, safe='')}?host={host}&port={PORT}"

    def initdb(self, *, sync: bool = True) -> None:
        """Make the data directory; without ``sync`` a power loss right after may spoil it."""
        with as_ours(f"cannot make a data directory in {self.data_dir.parent}"):
            self._initdb(sync)

    def _initdb(self, sync: bool) -> None:
        self._account.check_name()
        self._account.check_entry(self.data_dir.parent)
        # A crash here leaves a draft and never a half-made data directory.
        draft = self.data_dir.with_name(self.data_dir.name + ".draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self._account.own(draft)
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        if not sync:
            options.append("--no-sync")
        done = self._run("initdb", [f"--pgdata={draft}", *options], output=subprocess.PIPE)
        if done.returncode:
            raise EmbeddedError(f"initdb failed in {draft}:\n{done.stdout.strip()}")
        draft.rename(self.data_dir)

    def start(self, *, timeout_s: float = 60.0) -> None:
        """Start the server and return when it accepts connections.

        Does nothing but wait when it is already up. Raises EmbeddedError with the end of the log.
        """
        with as_ours(f"cannot start PostgreSQL on {self.data_dir}"):
            self._start(timeout_s)

    def _start(self, timeout_s: float) -> None:
        self._account.check_entry(self.data_dir)
        deadline = time.monotonic() + timeout_s
        while not self._wait_until_settled(deadline):
            postmaster.forget_stale(self.data_dir)
            logged = self._rotate_log()
            self._make_socket_dir()
            with self._open_log() as log:
                done = self._run("pg_ctl", ["start", *self._start_options(timeout_s)], output=log)
                if done.returncode == 0:
                    return
                os.lseek(log, logged, os.SEEK_SET)
                tail = os.read(log, _MAX_LOG).decode(errors="replace")
            # Backends of a server that was killed need a moment to notice and to go.
            if "pre-existing shared memory block" in tail and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                continue
            ending = "\n".join(tail.splitlines()[-20:])
            raise EmbeddedError(
                f"PostgreSQL {self._binaries.version} did not start on {self.data_dir}; "
                f"the end of {self.log_file}:\n{ending}"
            )

    def stop(self, mode: postmaster.StopMode = "fast", *, timeout_s: float = 60.0) -> None:
        """Stop the server and wait for its end; see postmaster.stop."""
        with as_ours(f"cannot stop PostgreSQL on {self.data_dir}"):
            postmaster.stop(self.data_dir, mode, timeout_s=timeout_s)

    def restart(self, mode: postmaster.StopMode = "fast") -> None:
        self.stop(mode)
        self.start()

    def _wait_until_settled(self, deadline: float) -> bool:
        """True for a server that is up, False for none; waits while it starts or stops."""
        while (server := postmaster.read(self.data_dir)) is not None and server.is_running:
            if server.status in ("ready", "standby") and server.answers():
                return True
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"PostgreSQL (pid {server.pid}) on {self.data_dir} is still {server.status}; "
                    f"see {self.log_file}"
                )
            time.sleep(_POLL_SECONDS)
        return False

    def _start_options(self, timeout_s: float) -> list[str]:
        quoted = str(self.socket_dir).replace('"', '""')
        settings = {**self.settings, "port": str(PORT), "unix_socket_directories": f'"{quoted}"'}
        options = ["-D", str(self.data_dir)]
        for name, value in settings.items():
            options += ["-c", f"{name}={value}"]
        # pg_ctl hands its -o to /bin/sh; by PGDATA it does not add a -D of its own making.
        return ["--wait", f"--timeout={max(1, int(timeout_s))}", "-o", shlex.join(options)]

    def _run(
        self, program: str, arguments: list[str], *, output: int
    ) -> subprocess.CompletedProcess[str]:
        binaries = reachable(self._binaries, self._account)
        return subprocess.run(
            [binaries[program], *arguments],
            stdin=subprocess.DEVNULL if self._hold is None else self._hold,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "LC_ALL": "C",
                "TZ": "UTC",
                "PGDATA": str(self.data_dir),
            },
            encoding="utf-8",
            errors="replace",
            check=False,
            user=self._account.user,
            group=self._account.group,
            extra_groups=self._account.extra_groups,
        )

    def _rotate_log(self) -> int:
        """Put a large log aside; return the size of what is there."""
        try:
            size = self.log_file.lstat().st_size
        except FileNotFoundError:
            return 0
        if size < _MAX_LOG:
            return size
        self.log_file.replace(self.log_file.with_suffix(".log.old"))
        return 0

    @contextlib.contextmanager
    def _open_log(self) -> Generator[int]:
        log = open_own(self.log_file, os.O_RDWR | os.O_APPEND)
        try:
            yield log
        finally:
            os.close(log)

    def _make_socket_dir(self) -> None:
        directory = self.socket_dir
        if directory == self.data_dir:
            return
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            # A crash left it, or somebody else wants our clients: only ours will do.
            status = directory.lstat()
            private = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077
            if not private or status.st_uid != self._account.uid:
                raise EmbeddedError(
                    f"the socket directory {directory} belongs to somebody else; "
                    "remove it, or use a data directory with a shorter path"
                ) from None
        else:
            self._account.own(directory)


def _fits_a_dsn(directory: Path) -> bool:
    """Whether a socket can be there and named in a dsn.

    Clients take a comma in a host for the start of another host, and a dsn for UTF-8.
    """
    name = os.fsencode(directory)
    with contextlib.suppress(UnicodeDecodeError):
        return len(name) <= _MAX_SOCKET_DIR and "," not in name.decode("utf-8")
    return False
