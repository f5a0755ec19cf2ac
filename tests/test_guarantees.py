"""docs/guide/guarantees.md and the tests agree: every promise names tests, and those exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "guide" / "guarantees.md").read_text()
ROW = re.compile(r"^\| (.+?) \| (.*?) ?\| (.+) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> list[tuple[str, str]]:
    """Promise, and the cell that names its tests."""
    return [(promise, tests) for promise, _, tests in ROW.findall(TEXT) if promise != "promise"]


def test_every_promise_names_its_tests() -> None:
    assert len(rows()) > 35
    for promise, tests in rows():
        assert TEST.sub("", tests).replace("<br>", "") == "", promise
        assert TEST.findall(tests), promise


def test_every_test_that_is_named_exists() -> None:
    named = set(TEST.findall(TEXT))
    strays = sorted(f"{path}::{name}" for path, name in named if name not in _tests(path))
    assert not strays, "\n".join(strays)


def _tests(path: str) -> set[str]:
    file = ROOT / path
    if not file.exists():
        return set()
    tree = ast.parse(file.read_text(), path)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, functions) and node.name.startswith("test_")
    }
