"""An example with a database of its own, in which its README's preparations were made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from tests.examples.readme import commands
from tests.harness.processes import Program
from tests.harness.servers import Server
from tests.harness.waiting import remaining, wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
_SECONDS = 120
_LEAK_SECONDS = 30.0


class Example:
    """``run`` runs a command as its README would have it, and returns what that has printed."""

    def __init__(self, home: Path, dsn: str) -> None:
        self.home = home
        self.dsn = dsn
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        self.environment: Mapping[str, str] = {
            **kept,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]]),
            "DATABASE_URL": dsn,
            # It would be in the home directory, one for all.
            "GUNICORN_CMD_ARGS": "--no-control-socket",
            # Plugins that the example does not ask for.
            "PYTEST_ADDOPTS": "-p no:asyncio -p no:cacheprovider -p no:xdist",
        }

    def run(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.home,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}"
        return done.stdout

    @contextmanager
    def running(self, command: str, log_file: Path) -> Iterator[Program]:
        """Start a command that goes on; at the end, TERM stops it."""
        program = Program(
            ["bash", "-c", f"exec env {command}"], log_file, cwd=self.home, env=self.environment
        )
        try:
            yield program
            program.send(signal.SIGTERM)
            wait_until(lambda: not program.runs, what=f"the end of {command}")
            assert program.code in (0, -signal.SIGTERM), program.log()
        finally:
            program.clear_away()

    def query(self, sql: LiteralString) -> list[Any]:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture
def example(request: pytest.FixtureRequest, pg: Server) -> Iterator[Example]:
    """The example whose name the test gives by ``parametrize``, prepared."""
    name = pg.create()
    example = Example(EXAMPLES / request.param, pg.dsn_for(name))
    for command in commands(example.home, "Prepare"):
        example.run(command)
    yield example
    left = remaining(lambda: pg.sessions(name), timeout_s=_LEAK_SECONDS)
    assert not left, f"the example has left sessions behind: {left}"
    pg.drop(name)
