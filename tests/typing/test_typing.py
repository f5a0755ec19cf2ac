"""Signatures as a user's type checker sees them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.harness.servers import missing

HERE = Path(__file__).parent
FILES = ("accepts.py", "rejects.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, str]]:
    """File name -> line -> what pyright has against it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    pyright = shutil.which("pyright", path=path) or missing("pyright is not installed")
    project = tmp_path_factory.mktemp("typing")
    for name in FILES:
        shutil.copy(HERE / name, project)
    settings = {"typeCheckingMode": "strict", "pythonVersion": "3.11"}
    (project / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [pyright, "--outputjson", "--pythonpath", sys.executable, "-p", str(project)],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert answer["summary"]["filesAnalyzed"] >= 2, done.stdout + done.stderr
    errors: dict[str, dict[int, str]] = {name: {} for name in FILES}
    for one in answer["generalDiagnostics"]:
        line = one["range"]["start"]["line"] + 1
        errors[Path(one["file"]).name].setdefault(line, one["message"])
    return errors


def test_right_calls_are_accepted(found: dict[str, dict[int, str]]) -> None:
    assert found["accepts.py"] == {}


def test_wrong_calls_are_rejected_where_they_are(found: dict[str, dict[int, str]]) -> None:
    lines = (HERE / "rejects.py").read_text().splitlines()
    marked = {n for n, line in enumerate(lines, 1) if line.endswith("# E")}
    missed = {n: lines[n - 1] for n in marked - found["rejects.py"].keys()}
    extra = {n: found["rejects.py"][n] for n in found["rejects.py"].keys() - marked}
    assert not missed, f"accepted: {missed}"
    assert not extra, f"rejected as well: {extra}"
