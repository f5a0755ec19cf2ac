"""What the README shows works as it stands there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pgqueue
from tests.harness.places import open_place
from tests.harness.waiting import wait_until

README = (Path(__file__).parents[2] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", blocks("python"))
def test_python_compiles(block: str):
    compile(
        f"async def shown():\n{re.sub('^', '    ', block, flags=re.MULTILINE)}", "README", "exec"
    )


def test_public_names_that_it_uses_exist():
    used = set(re.findall(r"\bpgqueue\.([A-Z]\w+)", README))
    assert used
    assert used <= set(pgqueue.__all__)


@pytest.fixture
def place() -> Iterator[Path]:
    with open_place("readme-") as place:
        yield place


@pytest.mark.one_pg
def test_the_first_job(place: Path):
    (first,) = [b for b in blocks("python") if b.startswith("# jobs.py")]
    (place / "jobs.py").write_text(first)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PGQUEUE_")}
    subprocess.run([sys.executable, "jobs.py"], cwd=place, env=environment, check=True, timeout=120)
    output = place / "output"
    with output.open("wb") as out:
        worker = subprocess.Popen(
            [sys.executable, "-m", "pgqueue", "worker", "jobs:app"],
            cwd=place,
            env=environment | {"PYTHONUNBUFFERED": "1"},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: "hello, world" in output.read_text(), timeout_s=60)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0, output.read_text()
    finally:
        worker.kill()
