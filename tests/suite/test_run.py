"""The run of a small suite: what is run again, what is printed, and what is remembered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("tests.harness.suite.selection", "tests.harness.suite.notes")
NAMES += ("no:cacheprovider", "no:hypothesispytest", "no:asyncio")
PLUGINS = " ".join(f"-p {name}" for name in NAMES)
TESTS = """
import os
from pathlib import Path
import pytest

def nth(name):
    marks = Path(name)
    number = len(marks.read_text()) + 1 if marks.exists() else 1
    marks.write_text("x" * number)
    return number

@pytest.fixture
def unsure():
    assert nth("fixture") > 1

def test_good(): ...
def test_with_fixture(unsure): ...
def test_dies_once():
    if nth("dies") == 1:
        os._exit(1)
@pytest.mark.alone
def test_last():
    assert {"dies"} <= set(os.listdir()), "the others come first"
@pytest.mark.long
def test_long():
    assert False
"""


class Small:
    """A suite of its own, in a directory of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.write(TESTS)

    def write(self, text: str) -> None:
        (self.home / "test_small.py").write_text(text)

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        run = ["-m", "tests.harness.suite", "--workers", "1", "--log", "kept/logs/test"]
        done = subprocess.run(
            [sys.executable, *run, *arguments],
            cwd=self.home,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": PLUGINS, **environment},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout


@pytest.fixture
def small(tmp_path: Path) -> Small:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  alone\n  long\n")
    return Small(tmp_path)


def test_what_failed_once_is_unsteady_and_refused_the_next_time(small: Small) -> None:
    code, said = small.run()
    assert said.splitlines()[-1] == "4 passed, 0 failed", said
    assert code == 0
    assert said.count("unsteady, failed once") == 1
    logs = [(small.home / f"kept/logs/test/failed-{n}.log").read_text() for n in (1, 2)]
    assert "crashed" in "".join(logs)
    assert "2. run: passed" in logs[0]

    (small.home / "dies").unlink()
    code, said = small.run()
    assert said.splitlines()[-1] == "3 passed, 1 failed", "unsteady for a second time"
    assert code == 1


def test_what_fails_again_fails_and_so_do_long_ones_if_asked(small: Small) -> None:
    code, said = small.run("--long", "--", "-k", "long or good")
    assert (code, said.splitlines()[-1]) == (1, "1 passed, 1 failed")
    assert "unsteady" not in said


@pytest.mark.long
def test_what_hangs_is_ended_and_the_rest_is_run(small: Small) -> None:
    small.write(TESTS.replace("os._exit(1)", "import time; time.sleep(3600)"))
    code, said = small.run(PGQUEUE_TEST_SILENCE="20")
    assert "noted nothing for 20 s" in said
    assert "together, the rest" in said
    assert said.splitlines()[-1] == "4 passed, 0 failed", said
    assert code == 0


def test_a_module_that_cannot_be_imported_fails_the_run(small: Small) -> None:
    small.write("import nothing_of_that_name\n")
    code, said = small.run()
    assert code == 1
    assert "test_small.py cannot be collected" in said
