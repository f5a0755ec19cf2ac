"""The places themselves: each is in the source and in the matrix, and unarmed does nothing."""

from __future__ import annotations

import ast
import gc
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.matrix.cases import PLANS, cases

import pgqueue
from pgqueue import failpoints
from pgqueue.errors import ConfigError

SOURCE = Path(pgqueue.__file__).parent
# Those that run a statement by its name, and come to a place before it and after it.
STATEMENTS = {
    "_rows": ("before", "after"),
    "_quick": ("after",),
    "_read_all": ("after",),
    "_within": ("after",),
}


def in_the_source() -> Iterator[tuple[str, bool]]:
    """Each place that a call names, and whether that call is ``reach`` itself."""
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            texts = [
                a.value
                for a in node.args
                if isinstance(a, ast.Constant) and isinstance(a.value, str)
            ]
            if node.func.attr == "reach" and texts:
                yield texts[0], True
            for when in STATEMENTS.get(node.func.attr, ()):
                for text in texts[:1]:
                    yield f"{text}.{when}", False


def test_every_place_is_in_the_source_and_in_the_matrix() -> None:
    named = dict(in_the_source())
    assert {name for name, literal in named.items() if literal} <= failpoints.POINTS.keys()
    assert failpoints.POINTS.keys() <= named.keys()
    assert failpoints.POINTS.keys() == PLANS.keys()
    assert {case.point for case in cases()} == failpoints.POINTS.keys()
    assert len(failpoints.POINTS) >= 24


def test_the_report_names_no_place_that_is_gone() -> None:
    report = Path(__file__).parents[2] / "docs" / "chaos" / "matrix.md"
    rows = re.findall(r"^(\S+) +(?:kill|stop|cut) ", report.read_text(), re.MULTILINE)
    assert rows
    assert set(rows) <= failpoints.POINTS.keys()


def test_each_is_behind_an_if() -> None:
    """``if failpoints.armed is not None: failpoints.armed.reach(...)``, and nothing else."""
    gc.collect()  # Python 3.11 fails to parse while tasks that a test left are finalized
    for file in SOURCE.rglob("*.py"):
        tree = ast.parse(file.read_text())
        reaches = sum(
            isinstance(node, ast.Attribute) and node.attr == "reach" for node in ast.walk(tree)
        )
        guarded = sum(
            isinstance(inner, ast.Attribute) and inner.attr == "reach"
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "failpoints.armed is not None"
            for inner in ast.walk(node)
        )
        assert reaches == guarded, file


def test_none_is_armed_unless_somebody_arms_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert failpoints.armed is None
    monkeypatch.delenv(failpoints.VARIABLE, raising=False)
    failpoints.arm_from_environment()
    assert failpoints.armed is None


def test_an_armed_place_strikes_once_at_its_visit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(failpoints.VARIABLE, "claim_jobs.after:cut@2")
    monkeypatch.setattr(failpoints, "armed", None)
    failpoints.arm_from_environment()
    cuts: list[int] = []
    assert failpoints.armed is not None
    for visit in range(1, 5):
        failpoints.armed.reach("claim_jobs.before", lambda: cuts.append(0))
        failpoints.armed.reach("claim_jobs.after", lambda visit=visit: cuts.append(visit))
    assert cuts == [2]
    failpoints.disarm()
    assert failpoints.armed is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("claim_job.after:kill", 'did you mean "claim_jobs.after"'),
        ("claim_jobs.after:kil", 'did you mean "kill"'),
        ("claim_jobs.after", "name:action"),
        ("claim_jobs.after:kill@0", "name:action"),
        ("job.ended:cut", "no connection to cut"),
    ],
)
def test_a_wrong_word_gets_the_nearest_right_one(text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        failpoints.arm(text)
