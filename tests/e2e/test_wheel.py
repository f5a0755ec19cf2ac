"""The wheel has everything in it: installed alone, it migrates, enqueues and works."""

from __future__ import annotations

import os
import signal
import subprocess
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import pgqueue
from tests.harness.servers import Server
from tests.harness.waiting import wait_until
from tests.harness.wheel import build, install, site

JOBS = """
import pathlib, pgqueue

app = pgqueue.App()

@app.task
def write(name: str) -> None:
    pathlib.Path(name).write_text(pgqueue.current_job().task)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def bin_dir(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel; its dependencies are this environment's."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False, symlinks=True)
    install(wheel, home)
    return home / "bin"


@pytest.fixture
def environment(pg: Server) -> Iterator[dict[str, str]]:
    name = pg.create()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "PYTHON"))}
    yield {**kept, "PGQUEUE_DSN": pg.dsn_for(name)}
    pg.drop(name)


def test_every_file_of_the_source_is_in_the_wheel(wheel: Path) -> None:
    package = Path(pgqueue.__file__).parent
    own = {
        str(path.relative_to(package.parent))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sum(name.endswith(".sql") for name in own) > 80
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert own - packed == set()
    assert wheel.name.startswith("pgqueue_py-")


@pytest.mark.one_pg
def test_it_migrates_enqueues_and_works(
    bin_dir: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    def run(*command: str) -> str:
        return subprocess.run(
            [bin_dir / command[0], *command[1:]],
            cwd=tmp_path, env=environment, check=True, text=True, capture_output=True, timeout=120,
        ).stdout.strip()  # fmt: skip

    (tmp_path / "jobs.py").write_text(JOBS)
    where = "import importlib.metadata, pgqueue; print(pgqueue.__file__); "
    said = run("python", "-c", f"{where} print(importlib.metadata.version('pgqueue-py'))")
    assert said.splitlines() == [
        str(site(bin_dir.parent) / "pgqueue" / "__init__.py"),
        pgqueue.__version__,
    ]
    assert run("pgqueue", "--version") == f"pgqueue {pgqueue.__version__}"
    run("pgqueue", "migrate")
    run("python", "-c", "import jobs; jobs.write.enqueue('written')")
    output = tmp_path / "output"
    with output.open("wb") as out:
        worker = subprocess.Popen(
            [bin_dir / "pgqueue", "worker", "jobs:app"],
            cwd=tmp_path, env=environment, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        written = tmp_path / "written"
        wait_until(lambda: written.exists() and written.read_text() == "write", timeout_s=60)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0, output.read_text()
    finally:
        worker.kill()
        worker.wait()


def test_beside_another_projects_pgqueue_it_says_so(bin_dir: Path, tmp_path: Path) -> None:
    other = site(bin_dir.parent) / "pgqueue.py"
    other.write_text("class PgQueue: ...\n")
    try:
        for command in (["python", "-c", "import pgqueue"], ["pgqueue", "--version"]):
            done = subprocess.run(
                [bin_dir / command[0], *command[1:]],
                cwd=tmp_path, text=True, capture_output=True, check=False, timeout=60,
            )  # fmt: skip
            assert done.returncode == 1
            assert f"another project's pgqueue is installed beside this one: {other}" in done.stderr
            assert done.stderr.rstrip().endswith("pip uninstall pgqueue")
    finally:
        other.unlink()
