"""The arena small-disk: data on a file system that fills up; the WAL is elsewhere. F21."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from chaos.arenas.ground import BASE, Ground, newest
from chaos.faults.fault import BaseFault, Impossible, direct
from pgqueue.embedded import Cluster, installed, locks
from pgqueue.embedded import account as accounts
from tests.harness.servers import ROOT, SETTINGS, Server, missing

if TYPE_CHECKING:
    from chaos.arena import Arena

__all__ = ["FullDisk", "small_disk"]

_MEGABYTES = 1500
_UMOUNT_SECONDS = 20.0


class FullDisk(BaseFault):
    """The file system of the data is full for a while: tables cannot grow."""

    name = "full-disk"
    label = "F21"
    disruptive = 6.0

    def __init__(self, filler: Path) -> None:
        self._filler = filler

    async def strike(self, arena: Arena) -> None:
        seconds = arena.rng.uniform(2.0, 5.0)
        refused = False
        try:
            until = asyncio.get_running_loop().time() + seconds
            async with direct(arena) as own:
                while asyncio.get_running_loop().time() < until:
                    # What the server releases meanwhile is filled up, too.
                    await asyncio.to_thread(self._fill)
                    refused = await self._is_refused(own) or refused
                    await asyncio.sleep(0.1)
        finally:
            self._filler.unlink(missing_ok=True)
        arena.log("full", seconds=round(seconds, 2), refused=refused)
        if not refused:
            raise AssertionError("the server could still write")

    @staticmethod
    async def _is_refused(own: asyncpg.Connection) -> bool:
        transaction = own.transaction()
        await transaction.start()
        try:
            await own.execute(
                "create table public.chaos_filler as"
                " select repeat('x', 1000) as x from generate_series(1, 1000)"
            )
        except asyncpg.DiskFullError:
            return True
        finally:
            await transaction.rollback()
        return False

    def _fill(self) -> None:
        with self._filler.open("ab") as file, contextlib.suppress(OSError):
            while True:
                os.write(file.fileno(), b"\0" * 2**20)
        with self._filler.open("ab") as file, contextlib.suppress(OSError):
            while True:
                os.write(file.fileno(), b"\0" * 4096)


@contextmanager
def small_disk() -> Generator[Ground]:
    if os.geteuid() != 0:
        raise Impossible("to mount a file system needs root")
    major = newest()
    found = [binaries for binaries in installed() if binaries.major == major]
    if not found:
        missing(f"PostgreSQL {major} is not installed")
    ROOT.mkdir(mode=0o755, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix=f"{major}-disk-", dir=ROOT))
    home.chmod(0o755)
    small = home / "small"
    small.mkdir()
    with locks.held(home / "used.lock"), _mounted(small):
        account = accounts.current()
        account.own(small)
        cluster = Cluster(
            small / "data",
            found[0],
            settings={**SETTINGS, **BASE, "max_wal_size": "1GB"},
            log_file=home / "server.log",
        )
        try:
            cluster.initdb(sync=False)
            _move(cluster.data_dir / "pg_wal", home / "wal", account)
            cluster.start()
            yield Ground(
                Server(cluster.dsn, cluster),
                faults={FullDisk.name: partial(FullDisk, small / "filler")},
            )
        finally:
            cluster.stop("immediate")
    shutil.rmtree(home, ignore_errors=True)


def _move(what: Path, where: Path, account: accounts.Account) -> None:
    """Put the WAL elsewhere: a full disk for it ends the server, and that is another fault."""
    shutil.move(what, where)
    for path in (where, *where.rglob("*")):
        account.own(path)
    what.symlink_to(where)
    account.own(what)


@contextmanager
def _mounted(directory: Path) -> Generator[None]:
    command = ["mount", "-t", "tmpfs", "-o", f"size={_MEGABYTES}m", "tmpfs", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Impossible(f"cannot mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        # The backends of a server that was stopped at once take a moment to go.
        deadline = time.monotonic() + _UMOUNT_SECONDS
        while subprocess.run(
            ["umount", str(directory)], capture_output=True, check=False
        ).returncode:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{directory} stays busy and mounted")
            time.sleep(0.05)
