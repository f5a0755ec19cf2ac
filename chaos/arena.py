"""Where a fault strikes: the server, the proxy before it, and the worker processes."""

from __future__ import annotations

import json
import random
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import asyncpg

from chaos.history import History
from pgqueue.embedded.cluster import Cluster
from tests.harness.processes import Program
from tests.harness.proxy import Proxy

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["Arena", "Fault", "WorkerProcess"]

ROOT = Path(__file__).resolve().parents[1]


class WorkerProcess:
    """A supervisor with its worker processes: ``python -m chaos.worker CONFIG``.

    ``env`` is added to the environment at the next ``start()``. ``home`` is the directory where the
    processes write their history and their log.
    """

    def __init__(self, name: str, home: Path, config: Mapping[str, Any]) -> None:
        self.name = name
        self.home = home
        self.config = dict(config)
        self.env: dict[str, str] = {}
        self.starts = 0
        self._program: Program | None = None

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.name} {self.pid}>"

    @property
    def pid(self) -> int:
        """The supervisor's; 0 if it was never started."""
        return self._program.pid if self._program is not None else 0

    @property
    def alive(self) -> bool:
        return self._program is not None and self._program.runs

    @property
    def returncode(self) -> int | None:
        """How the last start ended; None while it runs."""
        return self._program.code if self._program is not None else None

    @property
    def log_file(self) -> Path:
        return self.home / f"{self.name}.log"

    def pids(self) -> list[int]:
        """The worker processes under the supervisor that are alive now."""
        children = self._program.children() if self._program is not None else []
        return [child.pid for child in children]

    def start(self) -> None:
        """Start the supervisor, if it does not run."""
        if self.alive:
            return
        self.starts += 1
        self._program = self.run()

    def run(self, *prefix: str) -> Program:
        """Start one more like it, under a command of its own."""
        command = [*prefix, sys.executable, "-m", "chaos.worker", json.dumps(self.config)]
        return Program(command, self.log_file, env=self.env)

    def kill(self, sig: int = signal.SIGKILL) -> None:
        """Send a signal to the supervisor."""
        if self._program is not None:
            self._program.send(sig)

    async def ended(self, timeout_s: float = 30.0) -> bool:
        """Wait for the supervisor's end; False if it lives on after so many seconds."""
        return self._program is None or await self._program.ended(timeout_s)


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
