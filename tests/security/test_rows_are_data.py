"""S1, S2: nothing that stands in a row is imported, unpickled or evaluated."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from pgqueue import App, Client
from tests.test_house import SOURCE, parsed
from tests.worker.support import Eyes, working

FORBIDDEN_MODULES = {
    "pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle",
    "yaml", "joblib", "copyreg", "runpy", "code", "codeop", "imp", "zipimport",
}  # fmt: skip
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "globals", "literal_eval", "input"}
# Who imports by name, and whose name it is.
IMPORTERS = {
    "worker/load.py": "what the operator names on the command line",
    "app.py": "a module of ours",
    "cli/group.py": "the table of commands",
    "testing/functions.py": "a module of a driver",
    "drivers/recognise.py": "the table of drivers",
}


@pytest.mark.rule("S1")
def test_nothing_that_runs_code_from_data_is_used() -> None:
    strays: list[str] = []
    for path, tree in parsed():
        for node in ast.walk(tree):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Call):
                function = node.func
                if isinstance(function, ast.Name) and function.id in FORBIDDEN_CALLS:
                    strays.append(f"{path}:{node.lineno}: {function.id}()")
                if isinstance(function, ast.Attribute) and function.attr == "literal_eval":
                    strays.append(f"{path}:{node.lineno}: {function.attr}()")
            strays += [
                f"{path}: import {name}"
                for name in names
                if name.split(".")[0] in FORBIDDEN_MODULES
            ]
    assert not strays, "\n".join(strays)


@pytest.mark.rule("S2")
def test_who_imports_by_name_is_known() -> None:
    found = {
        str(path)
        for path, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in {"import_module", "resolve_name", "find_spec", "spec_from_file_location"}
    }
    assert found == IMPORTERS.keys() | {"embedded/binaries.py"}  # looks for a wheel of ours
    for name in IMPORTERS:
        assert (SOURCE / name).exists()


CANARY = "pgqueue_canary_module"
NAMES = [
    "os.system", "subprocess.call", "asyncio.create_subprocess_shell", "builtins.eval",
    "builtins.exec", "antigravity", "this", "a..b", ".", "__main__.x", "__main__", CANARY,
    f"{CANARY}.run", f"{CANARY}:run", f"{CANARY}:app", "pgqueue.demo.tasks.scan", "known.__call__",
    "known.function", "../known", "known()", "lambda: 0", "pickle.loads", "yaml.load", "json.load",
]  # fmt: skip
CODECS = [
    {"__reduce__": ["os.system", ["touch canary"]]}, {"py/object": "os.system"},
    {"py/reduce": [{"py/type": "os.system"}, {"py/tuple": ["touch canary"]}]},
    {"__class__": f"{CANARY}.Evil"}, {"$type": CANARY, "codec": "pickle"},
    {"!!python/object/apply:os.system": ["touch canary"]}, {"type": CANARY, "module": CANARY},
]  # fmt: skip


@pytest.mark.rule("S2")
async def test_a_row_imports_nothing(
    dsn: str, eyes: Eyes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = tmp_path / "canary"
    (tmp_path / f"{CANARY}.py").write_text(
        f"import pathlib\npathlib.Path({str(canary)!r}).touch()\ndef run(): ...\nclass Evil: ...\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.chdir(tmp_path)
    app = App(dsn)
    seen: list[object] = []

    @app.task(name="known", max_attempts=1)
    async def known(value: object = None) -> None:
        seen.append(value)

    warm = (await app.aenqueue("known", {"value": 0})).id
    async with working(app):
        await eyes.reaches(warm, "completed")
    before = set(sys.modules)
    async with Client(dsn) as client:
        for name in NAMES:
            await client.aenqueue(name, {"value": "touch canary"}, max_attempts=1)
            for queue in (name, "default"):
                await eyes.sql(
                    "insert into pgqueue.job (task, queue, position, args, metadata, tags,"
                    " unique_key) select $1::text, $2::text, nextval('pgqueue.position_seq'), '{}',"
                    " jsonb_build_object('task', $1::text, 'codec', $1::text), array[$1::text],"
                    " $3::text",
                    name, queue, f"{name} {queue}",
                )  # fmt: skip
        for value in CODECS:
            await client.aenqueue("known", {"value": value}, max_attempts=1)
            await client.aenqueue("known", value, max_attempts=1)
    async with working(app, queues=["default", *NAMES]):
        await eyes.settled(completed=1 + len(CODECS), scheduled=len(CODECS), pending=3 * len(NAMES))
    await app.aclose()
    assert sorted(map(repr, seen[1:])) == sorted(map(repr, CODECS))
    assert not canary.exists()
    new = set(sys.modules) - before
    assert not any(name.split(".")[0] in {CANARY, "antigravity", "this", "pickle"} for name in new)
    assert not new, new
