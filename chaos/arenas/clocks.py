"""The arena clocks: a server under libfaketime, whose wall clock jumps while it runs. F27."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from chaos.arenas.ground import BASE, Ground, newest
from chaos.faults.clocks import ServerClock, faked, set_clock
from pgqueue.embedded import Cluster, installed, locks
from tests.harness.servers import ROOT, SETTINGS, Server, missing

__all__ = ["clocks"]


class FakedCluster(Cluster):
    """A cluster whose server is started by a script that preloads libfaketime."""

    wrapper: Path

    def _start_options(self, timeout_s: float) -> list[str]:
        return ["-p", str(self.wrapper), *super()._start_options(timeout_s)]


@contextmanager
def clocks() -> Generator[Ground]:
    major = newest()
    found = [binaries for binaries in installed() if binaries.major == major]
    if not found:
        missing(f"PostgreSQL {major} is not installed")
    ROOT.mkdir(mode=0o755, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix=f"{major}-clocks-", dir=ROOT))
    home.chmod(0o755)
    offsets = home / "clock"
    set_clock(offsets, 0)
    with locks.held(home / "used.lock"):
        cluster = FakedCluster(home / "data", found[0], settings={**SETTINGS, **BASE})
        cluster.wrapper = _script(home / "postgres", found[0]["postgres"], faked(offsets))
        try:
            cluster.initdb(sync=False)
            cluster.start()
            server = Server(cluster.dsn, cluster)
            yield Ground(server, faults={ServerClock.name: partial(ServerClock, offsets)})
        finally:
            cluster.stop("immediate")
            shutil.rmtree(home, ignore_errors=True)


def _script(path: Path, program: str, env: dict[str, str]) -> Path:
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in env.items())
    path.write_text(f'#!/bin/sh\nexec env {settings} {shlex.quote(program)} "$@"\n')
    path.chmod(0o755)
    return path
