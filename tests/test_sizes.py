"""How large a thought may be: lines of a file and of a function, attributes of a class.

What is larger stands here by name, with its size: it may become smaller, and nothing may join it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pgqueue

SOURCE = Path(pgqueue.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

MOST_LINES = 300
LARGE_FILES = {
    "db/pool.py": 308,
}

MOST_ATTRIBUTES = 14
LARGE_CLASSES = {
    "db/link.py:Link": 21,
    "db/pool.py:Pool": 15,
    "worker/claim/promoter.py:Promoter": 16,
    "worker/run/attempt.py:Attempts": 17,
    "worker/run/runner.py:Runner": 18,
}

MOST_LINES_OF_A_FUNCTION = 50
LONG_FUNCTIONS = {
    "db/faults.py:as_ours": 56,
    "worker/run/attempt.py:run": 62,
    "worker/run/runner.py:__init__": 56,
}


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


def check(sizes: dict[str, int], known: dict[str, int], most: int, what: str) -> None:
    large = {name: size for name, size in sizes.items() if size > most}
    grown = {name: size for name, size in large.items() if size > known.get(name, 0)}
    assert not grown, f"{what}: more than {most}, and more than before: {grown}"
    smaller = {name: size for name, size in known.items() if large.get(name, 0) < size}
    assert not smaller, f"{what}: smaller now, so write it down here: {smaller} -> {large}"


def test_files() -> None:
    sizes = {
        file.relative_to(SOURCE).as_posix(): len(file.read_text().splitlines()) for file in FILES
    }
    check(sizes, LARGE_FILES, MOST_LINES, "lines of a file")


def test_classes() -> None:
    sizes = {name: len(attributes(node)) for name, node in classes()}
    check(sizes, LARGE_CLASSES, MOST_ATTRIBUTES, "attributes of a class")


def test_functions() -> None:
    check(dict(functions()), LONG_FUNCTIONS, MOST_LINES_OF_A_FUNCTION, "lines of a function")
