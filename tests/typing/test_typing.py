"""Signatures as a user's type checker sees them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.typing.checkers import CHECKERS, Found

HERE = Path(__file__).parent
FILES = ("accepts.py", "rejects.py")


@pytest.fixture(scope="module", params=CHECKERS)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Found:
    project = tmp_path_factory.mktemp("typing")
    for name in FILES:
        shutil.copy(HERE / name, project)
    return CHECKERS[request.param](project)


def test_right_calls_are_accepted(found: Found) -> None:
    assert found.get("accepts.py", {}) == {}


def test_wrong_calls_are_rejected_where_they_are(found: Found) -> None:
    lines = (HERE / "rejects.py").read_text().splitlines()
    marked = {n for n, line in enumerate(lines, 1) if line.endswith("# E")}
    rejected = found["rejects.py"]
    missed = {n: lines[n - 1] for n in marked - rejected.keys()}
    extra = {n: rejected[n] for n in rejected.keys() - marked}
    assert not missed, f"accepted: {missed}"
    assert not extra, f"rejected as well: {extra}"
