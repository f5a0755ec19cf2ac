"""Where a fault strikes: the server, the proxy before it, and the worker processes."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import asyncpg
import psutil

from chaos.history import History
from pgqueue.embedded.cluster import Cluster
from tests.harness.proxy import Proxy

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["Arena", "Fault", "WorkerProcess"]

ROOT = Path(__file__).resolve().parents[1]


class WorkerProcess:
    """A supervisor with its worker processes: ``python -m chaos.worker CONFIG``.

    ``env`` is added to the environment at the next ``start()``. ``home`` is the directory where the
    processes write their history and their log. It is the leader of a session of its own, so that
    it may be stopped and continued without the terminal having a say.
    """

    def __init__(self, name: str, home: Path, config: Mapping[str, Any]) -> None:
        self.name = name
        self.home = home
        self.config = dict(config)
        self.env: dict[str, str] = {}
        self.starts = 0
        self._popen: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.name} {self.pid}>"

    @property
    def pid(self) -> int:
        """The supervisor's; 0 if it was never started."""
        return self._popen.pid if self._popen is not None else 0

    @property
    def alive(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """How the last start ended; None while it runs."""
        return self._popen.poll() if self._popen is not None else None

    @property
    def log_file(self) -> Path:
        return self.home / f"{self.name}.log"

    def pids(self) -> list[int]:
        """The worker processes under the supervisor that are alive now."""
        try:
            children = psutil.Process(self.pid).children(recursive=True) if self.alive else []
        except psutil.NoSuchProcess:
            children = []
        return [child.pid for child in children]

    def start(self) -> None:
        """Start the supervisor, if it does not run."""
        if self.alive:
            return
        self.starts += 1
        with self.log_file.open("ab") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "chaos.worker", json.dumps(self.config)],
                cwd=ROOT,
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, sig: int = signal.SIGKILL) -> None:
        """Send a signal to the supervisor."""
        if self.alive:
            os.kill(self.pid, sig)

    async def ended(self, timeout_s: float = 30.0) -> bool:
        """Wait for the supervisor's end; False if it lives on after so many seconds."""
        deadline = time.monotonic() + timeout_s
        while self.alive and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return not self.alive


class Arena:
    """What a fault gets to work with.

    ``dsn`` leads to the server directly, as superuser; ``worker_dsn`` is what workers and producers
    connect to: through ``proxy``, over TCP. ``rng`` is the plan's: same seed, same draws.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        dsn: str,
        proxy: Proxy,
        workers: Iterable[WorkerProcess],
        rng: random.Random,
        history: History,
    ) -> None:
        self.cluster = cluster
        self.dsn = dsn
        self.proxy = proxy
        self.worker_dsn = proxy.dsn
        self.workers = list(workers)
        self.rng = rng
        self._history = history

    async def sql(self, text: str, *args: Any, timeout_s: float = 10.0) -> list[Record]:
        """Run a statement on a fresh connection of its own, directly to the server."""
        connection = await asyncpg.connect(
            self.dsn, timeout=timeout_s, server_settings={"application_name": "chaos"}
        )
        try:
            return await connection.fetch(text, *args, timeout=timeout_s)
        finally:
            connection.terminate()

    def log(self, event: str, **fields: Any) -> None:
        """Write a line into the history of faults, with the monotonic time."""
        self._history.write(f="fault", event=event, **fields)


class Fault(Protocol):
    """One fault. A new object for each strike, so that it may keep what it needs to heal.

    ``label``: its number in the catalogue. ``disruptive``: for how many seconds after it has healed
    a job that runs twice, or a wake-up that comes late, may still be its doing. ``victims``, once
    it has struck: the processes whose jobs may run again for it; None if all may.
    """

    name: str
    label: str
    disruptive: float
    victims: Sequence[int] | None

    async def strike(self, arena: Arena) -> None:
        """Inject the fault, wait its time, and heal it before returning."""
        ...
