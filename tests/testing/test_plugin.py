"""Projects with tests of their own, run by pytest and unittest with every warning an error."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.harness.servers import Server

pytestmark = pytest.mark.one_pg

ROOT = Path(__file__).parents[2]

JOBS = """
import asyncio, pgqueue
app = pgqueue.App()
seen = []

@app.task(queue="mail")
def welcome(email: str) -> None:
    seen.append(email)

@app.task
async def count(n: int) -> None:
    await asyncio.sleep(0)
    seen.append(pgqueue.current_job().attempt)
    if n:
        await count.aenqueue(n - 1)

@app.task
def chain(n: int) -> None:
    if n:
        chain.enqueue(n - 1)
"""

BLOCKING = """
import pytest
from jobs import chain, seen, welcome

@pytest.mark.parametrize("n", range(2))
def test_the_next_test_sees_nothing(pgq, n):
    pgq.refute_enqueued()
    with pgq.assert_enqueues(welcome, args={"email": "a@b.c"}, queue="mail", count=1):
        welcome.enqueue("a@b.c")
    seen.clear()
    assert pgq.drain() == {"completed": 1}
    assert seen == ["a@b.c"]
    chain.enqueue(3)
    assert pgq.drain() == {"completed": 4}

def test_without_the_kit():
    assert welcome("x") is None
"""

AWAITED = """
import pytest
from jobs import app, count, seen
from pgqueue.testing import atransaction

@pytest.fixture
async def kit():
    async with atransaction(app) as kit:
        yield kit

@pytest.mark.parametrize("n", range(3))
async def test_each_on_a_loop_of_its_own(kit, n):
    async with kit.assert_enqueues(count, args={"n": 2}):
        await count.aenqueue(2)
    seen.clear()
    assert await kit.adrain() == {"completed": 3}
    assert seen == [1, 1, 1]
    await kit.arefute_enqueued()

@pytest.mark.parametrize("n", range(3))
async def test_one_app_and_many_loops(n):
    await count.aenqueue(1)
    assert await app.run_until_idle() == {"completed": 2}

def test_a_worker_that_blocks():
    count.enqueue(0)
    assert app.run_until_idle_sync() == {"completed": 1}
    app.close()
"""

UNITTEST = """
import unittest
from jobs import app, count, welcome
from pgqueue.testing import atransaction, transaction

class Blocking(unittest.TestCase):
    def test_it(self):
        with transaction(app) as kit:
            welcome.enqueue("a@b.c")
            kit.assert_enqueued(welcome)
            self.assertEqual(kit.drain(), {"completed": 1})

class Awaited(unittest.IsolatedAsyncioTestCase):
    async def test_it(self):
        async with atransaction(app) as kit:
            await count.aenqueue(1)
            self.assertEqual(await kit.adrain(), {"completed": 2})
    async def test_it_again(self):
        await self.test_it()

if __name__ == "__main__":
    unittest.main()
"""


@pytest.fixture
def project(dsn: str, tmp_path: Path) -> Path:
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        "filterwarnings = error\npgqueue_app = jobs:app\n"
        "addopts = -p no:cacheprovider\npythonpath = .\n"
    )
    return tmp_path


def run(project: Path, dsn: str, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=project, capture_output=True, text=True, check=False,
        env={**os.environ, "PGQUEUE_DSN": dsn, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def plugin() -> list[str]:
    """The plugin by name, where the environment was installed before it had an entry point."""
    known = {point.name for point in entry_points(group="pytest11")}
    return [] if "pgqueue" in known else ["-p", "pgqueue.pytest_plugin"]


def test_the_entry_point_is_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"pgqueue": "pgqueue.pytest_plugin"}


def test_fixtures_and_loops_leave_nothing(project: Path, dsn: str) -> None:
    (project / "test_blocking.py").write_text(BLOCKING)
    (project / "test_awaited.py").write_text(AWAITED)
    assert "10 passed" in run(project, dsn, "-m", "pytest", "-q", *plugin())


def test_unittest_needs_no_fixtures(project: Path, dsn: str) -> None:
    (project / "cases.py").write_text(UNITTEST)
    assert "Ran 3 tests" in run(project, dsn, "cases.py")


def test_the_app_of_the_project_is_the_app_of_its_tests(project: Path, dsn: str) -> None:
    (project / "pytest.ini").unlink()
    (project / "pyproject.toml").write_text(
        '[tool.pgqueue]\napp = "jobs:app"\n'
        '[tool.pytest.ini_options]\naddopts = "-p no:cacheprovider -p no:asyncio"\n'
    )
    (project / "test_blocking.py").write_text(BLOCKING)
    assert "3 passed" in run(project, dsn, "-m", "pytest", "-q", *plugin())


def test_the_plugin_imports_nothing_before_it_is_used(project: Path, dsn: str) -> None:
    (project / "test_none.py").write_text(
        "import sys\ndef test_none():\n"
        "    heavy = ('asyncpg', 'django', 'pgqueue.testing', 'pgqueue.worker')\n"
        "    assert not [name for name in heavy if name in sys.modules]\n"
    )
    run(project, dsn, "-m", "pytest", "-q", *plugin())
    (project / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider -p no:asyncio\n")
    run(project, dsn, "-m", "pytest", "-q", "-p", "no:pgqueue")


@pytest.mark.alone
def test_an_embedded_server_for_a_session(project: Path, pg: Server) -> None:
    (project / "conftest.py").write_text(
        "import pytest\n@pytest.fixture(scope='session', autouse=True)\n"
        "def database(pgq_database): ...\n"
    )
    (project / "test_blocking.py").write_text(BLOCKING)
    assert "3 passed" in run(project, "", "-m", "pytest", "-q", *plugin())
