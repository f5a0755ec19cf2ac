"""How large a thought may be: lines of a file and of a function, attributes of a class.

How many ways lead through a function is held by ruff (C901).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pgqueue

SOURCE = Path(pgqueue.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

MOST_LINES = 300
MOST_ATTRIBUTES = 14
MOST_LINES_OF_A_FUNCTION = 50


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for file in FILES:
        where = file.relative_to(SOURCE).as_posix()
        if where.startswith(("worker/", "supervisor/", "db/")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef):
                    yield f"{where}:{node.name}", node


def attributes(node: ast.ClassDef) -> set[str]:
    """What is assigned to ``self`` in a class; what a dataclass declares."""
    found = {
        target.attr
        for inner in ast.walk(node)
        if isinstance(inner, ast.Assign | ast.AnnAssign | ast.AugAssign)
        for one in (inner.targets if isinstance(inner, ast.Assign) else [inner.target])
        for target in ast.walk(one)
        if isinstance(target, ast.Attribute)
        and isinstance(target.value, ast.Name)
        and target.value.id == "self"
        and isinstance(target.ctx, ast.Store)
    }
    declared = {
        inner.target.id
        for inner in node.body
        if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name)
    }
    return found | declared


def functions() -> Iterator[tuple[str, int]]:
    for file in FILES:
        where = file.relative_to(SOURCE).as_posix()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{where}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def check(sizes: dict[str, int], most: int) -> None:
    large = {name: size for name, size in sizes.items() if size > most}
    assert not large, f"more than {most}: {large}"


def test_files() -> None:
    check(
        {file.relative_to(SOURCE).as_posix(): len(file.read_text().splitlines()) for file in FILES},
        MOST_LINES,
    )


def test_classes() -> None:
    check({name: len(attributes(node)) for name, node in classes()}, MOST_ATTRIBUTES)


def test_functions() -> None:
    check(dict(functions()), MOST_LINES_OF_A_FUNCTION)
