"""The table of past bugs and the tests agree: every number has a place, every test its row."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "internals" / "past-bugs.md"
# The catalogue's families of what exists: A, B, C, D, E, F, G, H, I, J; N: what was found later.
NUMBERS = {
    *(1, 3, 5, 7, 8, 9, 10, 11, 12, 14, 16, 17, 18, 20, 21, 22, 24, 25, 26, 27, 28, 30, 31),
    *(32, 34, 35, 36, 37, 39, 40, 41, 44, 45, 47, 48, 50, 51),
    *(54, 55, 56, 57, 58, 59, 60, 61, 62),
    *(63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 77, 78),
    *range(79, 93),
    *(95, 97, 98, 99, 100, 101, 102, 104, 105, 106, 108, 109),
    *("N16", "N18", "N19", "N20", "N21", "N22"),
    *(111, 112, 113, 114, 116, 117, 118, 121, 122, 124, 125, 127, 128, 129, 130, 131),
}
ROW = re.compile(r"^\| (N?\d+) \| (.+?) \| (.*?) ?\|$", re.MULTILINE)
MARKER = "pytest.mark.past_bug"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


Number = int | str


def rows() -> dict[Number, str]:
    found = ROW.findall(TABLE.read_text())
    assert len({number for number, _, _ in found}) == len(found), "a number stands there twice"
    return {int(n) if n.isdecimal() else n: cell for n, _, cell in found}


def labelled() -> Iterator[tuple[Number, str, str]]:
    """Number, file and name of every test that carries a number."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for number in marked(node):
                    yield number, str(path.relative_to(ROOT)), node.name


def marked(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Number]:
    """The numbers in ``@pytest.mark.past_bug(16, "N2")``."""
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == MARKER:
            yield from (ast.literal_eval(argument) for argument in decorator.args)


def test_every_number_has_a_test_or_a_reason() -> None:
    table = rows()
    assert not NUMBERS - set(table), f"missing: {NUMBERS - set(table)}"
    assert not [number for number, cell in table.items() if not cell.strip()]


def test_every_test_that_is_named_exists() -> None:
    known = set(labelled())
    strays = [
        f"{number}: {path}::{name}"
        for number, cell in rows().items()
        for path, name in TEST.findall(cell)
        if (number, path, name) not in known
    ]
    assert not strays, "\n".join(strays)


def test_every_test_with_a_number_is_in_its_row() -> None:
    table = rows()
    strays = [
        f"{number}: {path}::{name}"
        for number, path, name in labelled()
        if (path, name) not in TEST.findall(table.get(number, ""))
    ]
    assert not strays, "\n".join(strays)
