"""What a system under test is to the harness: a program to run in roles, and how to see its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

__all__ = ["APPS", "HOME", "Failed", "Missing", "PythonSystem", "System", "call"]

APPS = Path(__file__).resolve().parent.parent / "apps"
HOME = APPS.parent.parent / ".venvs" / "bench"
ALL = (
    "drain",
    "bulk",
    "single",
    "contention",
    "latency",
    "mixed",
    "payload",
    "flat",
    "many",
    "io",
    "idle",
    "fleet",
)


class Missing(Exception):
    """The system is not installed here; the text says why."""


class Failed(Exception):
    """A run whose figures do not count; the text says why."""


class System(Protocol):
    """One queue. Its program's roles are described in apps/common.py."""

    @property
    def name(self) -> str: ...
    @property
    def about(self) -> str:
        """What a reader must know to compare: who deletes, who keeps, what is a poll."""
        ...

    @property
    def settings(self) -> str:
        """The settings it runs with, and where they are recommended."""
        ...

    @property
    def workloads(self) -> Sequence[str]: ...
    @property
    def pace(self) -> int:
        """Jobs a second that it drains, roughly: what the sizes of its runs follow."""
        ...

    @property
    def unfinished(self) -> str:
        """The query that counts the jobs not yet recorded as finished."""
        ...

    @property
    def batch(self) -> int:
        """The most jobs that one call of bulk enqueues as one piece."""
        ...

    @property
    def knobs(self) -> Mapping[str, Sequence[str]]:
        """The settings of its worker that a sweep tries, by the variable that its program reads.

        The first value of each is the one that it comes with.
        """
        ...

    @property
    def kindest(self) -> Mapping[str, str]:
        """The settings that a sweep found best where they are others (``benchmarks.sweep``)."""
        ...

    def version(self) -> str:
        """The installed version; raises Missing."""
        ...

    def command(self, role: str, *arguments: str) -> list[str]: ...
    def environment(self, dsn: str) -> dict[str, str]: ...


@dataclass(frozen=True)
class PythonSystem:
    """A system with a program in Python, in a virtual environment of its own."""

    name: str
    package: str
    about: str
    settings: str
    pace: int
    unfinished: str
    workloads: Sequence[str] = ("drain", "bulk", "single", "latency", "io", "idle")
    requires: Sequence[str] = ()
    minimum: tuple[int, int] = (3, 11)
    batch: int = 1_000_000
    extra: Mapping[str, str] = field(default_factory=dict)
    knobs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kindest: Mapping[str, str] = field(default_factory=dict)

    @property
    def python(self) -> str:
        return str(HOME / self.name / "bin" / "python")

    def version(self) -> str:
        return installed_version(self.python, self.package, HOME / self.name)

    def command(self, role: str, *arguments: str) -> list[str]:
        program = APPS / f"use_{self.name.replace('-', '_')}.py"
        return [self.python, str(program), role, *arguments]

    def environment(self, dsn: str) -> dict[str, str]:
        return {**clean_environment(), "BENCH_DSN": dsn, **self.extra}


def installed_version(python: str, package: str, home: Path) -> str:
    """Ask an environment for the version of a package."""
    if not Path(python).exists():
        reason = home.with_suffix(".why")
        raise Missing(reason.read_text().strip() if reason.exists() else "not installed")
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise Missing(f"{package} is not in {home.name}'s environment")
    return answer.stdout.strip()


def clean_environment() -> dict[str, str]:
    """Ours without what would steer a Python or a PostgreSQL client."""
    steers = ("PYTHON", "PG", "VIRTUAL_ENV", "BENCH_")
    return {k: v for k, v in os.environ.items() if not k.startswith(steers)}


def call(
    system: System, dsn: str, role: str, *arguments: object, timeout: float = 600.0, **extra: float
) -> dict[str, Any]:
    """Run the system's program in a role; return what it answers."""
    environment = system.environment(dsn) | {k: str(v) for k, v in extra.items()}
    done = subprocess.run(
        system.command(role, *map(str, arguments)),
        env=environment,
        cwd=APPS,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise Failed(f"{system.name} {role} ended with {done.returncode}: {tail}")
    lines = done.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines else {}


def here() -> str:
    """The Python that runs the harness, where pgqueue and the baseline run too."""
    return sys.executable
