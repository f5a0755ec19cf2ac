"""A primary and its standby, which change places."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from pgqueue.embedded import Binaries, Cluster, installed, locks
from pgqueue.embedded import account as accounts
from tests.harness.servers import ROOT, SETTINGS, missing

__all__ = ["Pair", "pair"]

_SECONDS = 60.0
_OURS = {"wal_keep_size": "1GB", "wal_receiver_timeout": "5s", "wal_retrieve_retry_interval": "200"}


class Pair:
    """Two clusters. Seen from outside it is the Cluster that is the primary now."""

    def __init__(
        self, home: Path, binaries: Binaries, settings: Mapping[str, str], *, waits: bool
    ) -> None:
        self._binaries = binaries
        self._waits = waits
        self._first = 0
        self.nodes = [
            Cluster(home / name / "data", binaries, settings={**settings, **_OURS})
            for name in ("a", "b")
        ]

    @property
    def primary(self) -> Cluster:
        return self.nodes[self._first]

    @property
    def standby(self) -> Cluster:
        return self.nodes[1 - self._first]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.primary, name)

    @property
    def dsn(self) -> str:
        return self.dsn_for("postgres")

    def dsn_for(self, database: str) -> str:
        """Return a dsn that leads to whichever takes writes."""
        hosts = ",".join(str(node.socket_dir) for node in self.nodes)
        return (
            f"postgresql://postgres@/{quote(database, safe='')}?host={quote(hosts, safe='/,')}"
            "&port=5432,5432&target_session_attrs=read-write"
        )

    def make(self) -> None:
        """Make both, with the second following the first."""
        self.primary.initdb(sync=False)
        self.primary.start()
        self.follow()
        if self._waits:
            self.ask(self.primary, "alter system set synchronous_standby_names = '*'")
            self.ask(self.primary, "select pg_reload_conf()")

    def follow(self) -> None:
        """Make the standby anew from the primary, and wait until it follows."""
        deadline = time.monotonic() + _SECONDS
        while True:
            self.standby.stop("immediate")
            shutil.rmtree(self.standby.data_dir, ignore_errors=True)
            copied = self._copy()
            if copied.returncode == 0:
                break
            if time.monotonic() > deadline:
                raise RuntimeError(f"pg_basebackup failed: {copied.stdout[-500:]}")
            time.sleep(0.2)  # the primary may be away
        # The primary's socket is in its data directory, and so is the socket's lock.
        (self.standby.data_dir / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
        self.standby.start()
        query = "select count(*) from pg_stat_replication where state = 'streaming'"
        while not self.ask(self.primary, query):
            if time.monotonic() > deadline:
                raise RuntimeError("the standby does not follow")
            time.sleep(0.05)

    def promote(self) -> None:
        """Make the standby the primary; what becomes of the old one is the caller's to say."""
        deadline = time.monotonic() + _SECONDS
        while not self.ask(self.standby, "select pg_promote(true, 30)"):
            if time.monotonic() > deadline:
                raise RuntimeError("the standby is not promoted")
            time.sleep(0.05)
        self._first = 1 - self._first

    def receiver(self) -> int:
        """The process id of the standby's receiver; 0 if it has none."""
        return int(self.ask(self.standby, "select max(pid) from pg_stat_wal_receiver") or 0)

    def kill_receiver(self, pid: int) -> None:
        """End the receiver with what it has not written; the standby restarts for that."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def lag(self) -> int:
        """How many bytes the standby has not replayed yet."""
        query = (
            "select coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), -1)::bigint"
            " from pg_stat_replication"
        )
        return int(self.ask(self.primary, query) or 0)

    def close(self) -> None:
        for node in self.nodes:
            node.stop("immediate")

    @staticmethod
    def ask(node: Cluster, query: str) -> Any:
        """Ask one of the two; None when it cannot be asked."""
        options = "-c synchronous_commit=local -c default_transaction_read_only=off"
        with (
            contextlib.suppress(psycopg.OperationalError),
            psycopg.connect(node.dsn, autocommit=True, options=options) as connection,
        ):
            cursor = connection.execute(query.encode())
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None
        return None

    def _copy(self) -> subprocess.CompletedProcess[str]:
        account = accounts.current()
        home = self.standby.data_dir.parent
        home.mkdir(mode=0o755, exist_ok=True)
        account.own(home)
        source = f"host={self.primary.socket_dir} port=5432 user=postgres"
        return subprocess.run(
            [self._binaries["pg_basebackup"], "-D", str(self.standby.data_dir), "-R",
             "-X", "stream", "-c", "fast", "--no-sync", "-d", source],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            text=True,
            check=False,
            user=account.user,
            group=account.group,
            extra_groups=account.extra_groups,
        )  # fmt: skip


@contextmanager
def pair(major: int, *, settings: Mapping[str, str], waits: bool) -> Generator[Pair]:
    """Lend a new pair; ``waits``: commits wait for the standby. It is gone at the end."""
    found = [binaries for binaries in installed() if binaries.major == major]
    if not found:
        missing(f"PostgreSQL {major} is not installed")
    ROOT.mkdir(mode=0o755, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix=f"{major}-pair-", dir=ROOT))
    home.chmod(0o755)
    for name in ("a", "b"):
        (home / name).mkdir(mode=0o755)
    with locks.held(home / "used.lock"):
        both = Pair(home, found[0], {**SETTINGS, **settings}, waits=waits)
        try:
            both.make()
            yield both
        finally:
            both.close()
            shutil.rmtree(home, ignore_errors=True)
