"""The processes of a run: supervisors with workers, and the programs that make the load."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

from chaos.arena import WorkerProcess
from chaos.kinds import QUEUES
from chaos.setup import Setup
from tests.harness.processes import Program

__all__ = ["Programs", "make_workers"]

# Leases are short, so that they run out often; polls are rare, so that a lost wake-up shows.
_STEADY = {"lease": 3.0, "heartbeat": 1.0, "poll_interval": 15.0, "grace": 5.0}


def make_workers(setup: Setup, home: Path, dsn: str) -> list[WorkerProcess]:
    """Make the supervisors; with ``setup.ordered``, one for a queue that is served in order."""
    settings = {**_STEADY, "concurrency": setup.concurrency, **setup.settings}
    common = {
        "dsn": dsn,
        "home": str(home),
        "processes": setup.processes,
        "schedules": "scheduler" in setup.programs,
    }
    wide = {**settings, "queues": list(QUEUES)}
    made = [
        WorkerProcess(f"worker-{n}", home, {**common, "role": f"worker-{n}", "settings": wide})
        for n in range(setup.supervisors)
    ]
    if setup.ordered:
        alone = {**settings, "queues": ["ordered"], "concurrency": 1}
        config = {**common, "processes": 1, "role": "worker-ordered", "settings": alone}
        made.append(WorkerProcess("ordered", home, config))
    for worker in made:
        worker.env.update(_env(setup))
    return made


def _env(setup: Setup) -> dict[str, str]:
    return {**setup.env, **({"CHAOS_MUTANT": setup.mutant} if setup.mutant else {})}


class Programs:
    """Producers, the canceller, the operator, and those that change schedules and flows."""

    def __init__(self, setup: Setup, home: Path) -> None:
        self._setup = setup
        self._home = home
        self._running: list[tuple[str, Program]] = []

    def start(self, dsn: str) -> None:
        setup = self._setup
        common = {
            "dsn": dsn,
            "home": str(self._home),
            "control": str(self._home / "control"),
            "seed": setup.seed,
            "pause": setup.pause,
            "bulk": setup.bulk,
            "nap": setup.nap,
        }
        none: dict[str, float] = {}
        for n, how in enumerate(setup.producers, 1):
            # The rare kinds are one producer's, or there would be as many as producers.
            rare = setup.rare if how == "tx" or len(setup.producers) == 1 else none
            mine = {"index": n, "how": how, "shares": dict(setup.shares), "rare": dict(rare)}
            self._start("producer", {**common, **mine}, f"producer-{how}")
        if setup.ordered:
            mine = {"index": 9, "how": "sync", "shares": {"ordered": 1.0}, "rare": none}
            self._start("producer", {**common, **mine, "pause": 0.02}, "producer-ordered")
        for module in setup.programs:
            self._start(module, common, module.rstrip("_"))

    def _start(self, module: str, config: dict[str, Any], name: str) -> None:
        program = Program(
            [sys.executable, "-m", f"chaos.{module}", json.dumps(config)],
            self._home / f"{name}.log",
            env={**_env(self._setup), "PGQUEUE_DSN": config["dsn"]},
        )
        self._running.append((name, program))

    def ended(self, *, but: str = "") -> bool:
        """Return True once all have ended by themselves, or all but the one of that name."""
        return not any(program.runs for name, program in self._running if name != but)

    def stop(self) -> tuple[list[str], dict[str, int]]:
        """End them; return the names of those that had not ended, and the codes of those that had
        failed."""
        stuck = [name for name, program in self._running if program.runs]
        for _, program in self._running:
            program.send(signal.SIGTERM)
        codes = {name: program.wait() for name, program in self._running}
        return stuck, {n: c for n, c in codes.items() if c not in (0, -signal.SIGTERM)}

    def kill(self) -> None:
        """Leave none behind."""
        for _, program in self._running:
            program.clear_away()
