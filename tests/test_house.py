"""The rules of the house that neither a linter nor a type checker knows."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pgqueue
from pgqueue import errors

SOURCE = Path(pgqueue.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
HEAVY = ("asyncpg", "click", "django", "psycopg", "psycopg2", "pydantic", "rich", "sqlalchemy")

# A statement, and not a sentence that begins with the same word.
SQL = re.compile(
    r"\s*(select\s+\S+|insert\s+into\s|update\s+\S+\s+(as\s+\S+\s+)?set\s|delete\s+from\s"
    r"|with\s+(recursive\s+)?\S+\s+as\s|merge\s+into\s|truncate\s+\S+|(un)?listen\s+[\w\"*]+\s*$"
    r"|(create|alter|drop)\s+(or\s+replace\s+)?(table|index|function|type|schema|view|trigger)\s)",
    re.IGNORECASE,
)
SQL_HOMES = (Path("db"),)
# The one statement that is run on other people's connections.
SQL_CALLS = (re.compile(r"\s*select .*\benqueue\w*\(", re.IGNORECASE),)


def parsed() -> Iterator[tuple[Path, ast.Module]]:
    for file in FILES:
        yield file.relative_to(SOURCE), ast.parse(file.read_text(), str(file))


# A constant that is private, or a time.
PATCHED = re.compile(r'setattr\([^()]*"(?:[\w.]+\.)?(?:_[A-Z]\w*|[A-Z_]+_(?:SECONDS|AFTER|EVERY))"')


def test_the_public_face_is_sorted_and_complete() -> None:
    assert list(pgqueue.__all__) == sorted(pgqueue.__all__)
    public = {
        name
        for name, value in vars(pgqueue).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }
    lazy = {"Statistics", "Worker", "WorkerThread", "Workers"}  # loaded when asked for
    assert (public - {"TYPE_CHECKING"}) | lazy == set(pgqueue.__all__) - {"__version__"}
    for name in pgqueue.__all__:
        assert getattr(pgqueue, name) is not None
    exceptions = {
        name
        for name in errors.__all__
        if isinstance(value := getattr(errors, name), type) and issubclass(value, Exception)
    }
    assert exceptions <= set(pgqueue.__all__)


def test_every_module_says_what_is_public_in_order() -> None:
    for path, tree in parsed():
        for node in tree.body:
            if (
                isinstance(node, ast.Assign)
                and isinstance(target := node.targets[0], ast.Name)
                and target.id == "__all__"
            ):
                names = ast.literal_eval(node.value)
                assert len(set(names)) == len(names), path


def test_the_tree_of_errors_is_drawn() -> None:
    drawn = errors.__doc__ or ""
    for name in errors.__all__:
        value = getattr(errors, name)
        if isinstance(value, type) and issubclass(value, errors.PgQueueError):
            assert re.search(rf"\b{name}\b", drawn), f"{name} is missing in the docstring's tree"


def test_importing_pgqueue_loads_nothing_heavy() -> None:
    code = "import json, sys, pgqueue; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert loaded.isdisjoint(HEAVY), sorted(loaded.intersection(HEAVY))


def test_tests_hand_in_times_and_patch_none() -> None:
    tests = Path(__file__).parent
    strays = [
        f"{file.relative_to(tests)}: {found[0]}"
        for file in sorted(tests.rglob("*.py"))
        for found in PATCHED.finditer(file.read_text())
    ]
    assert not strays, "\n".join(strays)


ROOT = Path(__file__).parents[1]
# Names of Python's own, which it made private only in spelling.
FOREIGN = ("_exit", "_get_current_object", "_getframe", "_log_destroy_pending", "_replace")
# What tests still read or write of others. It may only get shorter.
REACHED_INTO = {
    # a connection for every way of enqueueing
    "tests/corpus/refusals.py: _connection": 1,
    "tests/corpus/test_arguments.py: _connection": 1,
    # a defect, put in on purpose
    "chaos/mutants/machines.py: _pool": 1,
    "chaos/mutants/machines.py: _side": 1,
    # a moment that no signal can be sent in
    "tests/fault/test_interrupted.py: _active": 1,
    "tests/fault/test_interrupted.py: _stand_in": 1,
    # time runs out at a moment that the test chooses
    "tests/fault/test_overload.py: _arm": 1,
    "tests/fault/test_overload.py: _idle": 1,
    "tests/fault/test_overload.py: _timer": 1,
    "tests/fault/test_overload.py: _until": 1,
    "tests/fault/test_silent_pool.py: _is_silent": 2,
    # a program that begins anew
    "tests/worker/test_dsn_function.py: _last": 1,
    "tests/unit/test_calls.py: _bounds": 3,
}


def test_tests_reach_into_nobodys_privates() -> None:
    """An attribute of anything but ``self``, a name given to ``setattr``, or an import."""
    found = Counter(
        f"{file.relative_to(ROOT)}: {name}"
        for part in ("benchmarks", "chaos", "examples", "tests")
        for file in sorted((ROOT / part).rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(), str(file)))
        for name in private(node)
    )
    assert dict(found) == REACHED_INTO


def private(node: ast.AST) -> list[str]:
    """The private names of others that an expression or an import reaches for."""
    match node:
        case ast.Attribute(value=ast.Name(id="self" | "cls")):
            names = []
        case ast.Attribute(value=ast.Call(func=ast.Name(id="super"))):
            names = []
        case ast.Attribute(attr=name):
            names = [name]
        case ast.Call(
            func=ast.Name(id="getattr" | "setattr") | ast.Attribute(attr="setattr"),
            args=[ast.Name() | ast.Attribute(), ast.Constant(value=str(name)), *_],
        ):
            names = [name]
        case ast.ImportFrom():
            names = [alias.name for alias in node.names]
        case _:
            names = []
    return [n for n in names if re.match("_[a-z]", n, re.IGNORECASE) and n not in FOREIGN]


def test_names_of_tests_say_what_happens_and_numbers_are_markers() -> None:
    numbered = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in sorted((ROOT / "tests").rglob("*.py"))
        for name in re.findall(r"def (test_\w+)", file.read_text())
        if re.search(r"(_|\b)([A-Z]\d+|bug_\d+)(_|$)", name)
    ]
    assert not numbered, "\n".join(numbered)


def test_sql_lives_in_db() -> None:
    strays = [
        f"{path}:{line}: {text[:60]!r}"
        for path, tree in parsed()
        if not any(path.is_relative_to(home) for home in SQL_HOMES)
        for line, text in strings(tree)
        if SQL.match(text) and not any(call.match(text) for call in SQL_CALLS)
    ]
    assert not strays, "\n".join(strays)


def strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of every string literal but the docstrings; {} stands for a value."""
    skipped = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped.update(id(part) for part in node.values)
            yield node.lineno, "".join(map(literal, node.values))
        elif isinstance(node, ast.Constant) and type(node.value) is str and id(node) not in skipped:
            yield node.lineno, node.value


def literal(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "{}"


def test_sql_is_told_from_prose() -> None:
    statements = ("select 1", "\n  WITH x AS (", "delete from t", "update t set a = 1")
    sentences = ("with the lock held", "update the row", "insert a job", "selected", "delete it")
    assert all(SQL.match(text) for text in statements)
    assert not any(SQL.match(text) for text in sentences)


def test_nothing_reads_the_environment_at_import() -> None:
    strays = [
        f"{path}:{node.lineno}"
        for path, tree in parsed()
        for node in at_import(tree)
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"))
        or (isinstance(node, ast.Name) and node.id in ("environ", "environb", "getenv"))
    ]
    assert not strays, "\n".join(strays)


def at_import(tree: ast.AST) -> Iterator[ast.expr]:
    """The expressions that run when a module is imported: not the bodies of its functions."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.expr):
            yield child
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            early = [*child.decorator_list, *child.args.defaults, *child.args.kw_defaults]
            for expression in filter(None, early):
                yield expression
                yield from at_import(expression)
        elif not isinstance(child, ast.Lambda):
            yield from at_import(child)
