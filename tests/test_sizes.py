"""How large a thought may be: lines of a file and of a function, attributes of a class.

And how often a class is handed a call that only its maker can explain.

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
MOST_CALLBACKS = 8
PARTS = ("worker/", "supervisor/", "db/")


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for file in FILES:
        where = file.relative_to(SOURCE).as_posix()
        if where.startswith(PARTS):
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


def names(node: ast.AST) -> set[str]:
    """The names in an annotation, also where it is written as text."""
    found = set[str]()
    for inner in ast.walk(node):
        match inner:
            case ast.Name(name) | ast.Attribute(attr=name):
                found.add(name)
            case ast.Constant(str(text)):
                found |= names(ast.parse(text, mode="eval"))
            case _:
                pass
    return found


def names_of_callables() -> set[str]:
    """``Callable``, and what is another name for one: an alias of it, a Protocol of a call."""
    found = {"Callable"}
    trees = [ast.parse(file.read_text()) for file in FILES]
    for node in (node for tree in trees for node in tree.body):
        match node:
            case ast.Assign([ast.Name(name)], ast.Subscript(ast.Name("Callable"))):
                found.add(name)
            case ast.ClassDef(name, bases, body=body) if any(
                "Protocol" in names(base) for base in bases
            ):
                if any(isinstance(one, ast.FunctionDef) and one.name == "__call__" for one in body):
                    found.add(name)
            case _:
                pass
    return found


def callbacks() -> Iterator[str]:
    """Parameters of constructors, and fields of classes, that are callables."""
    callables = names_of_callables()
    for where, node in classes():
        for inner in node.body:
            match inner:
                case ast.FunctionDef("__init__", arguments):
                    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
                    typed = [(one.arg, one.annotation) for one in every if one.annotation]
                case ast.AnnAssign(ast.Name(name), annotation):
                    typed = [(name, annotation)]
                case _:
                    typed = []
            yield from (f"{where}.{name}" for name, hint in typed if names(hint) & callables)


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


def test_callbacks() -> None:
    """A part says what has happened by sending an event, and reads what another one knows."""
    found = list(callbacks())
    assert "db/link.py:Link.on_lost" in found, "this test has found some before"
    assert len(found) <= MOST_CALLBACKS, f"more than {MOST_CALLBACKS}: {found}"
