"""Wrong input: what, the value, the nearest right one; one line, no traceback, exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.cli.conftest import Run, Shell, one_line
from tests.harness.servers import with_database

NOWHERE = "postgresql://me:s3cret@127.0.0.1:1/x"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("statuss", 'no command "statuss"; did you mean "status"?'),
        ("xyzzy", 'no command "xyzzy"; there are worker, enqueue'),
        ("jobs lst", 'no command "lst"; did you mean "list"?'),
        ("jobs list --quue mail", 'no option "--quue"; did you mean "--queue"?'),
        ("--dns x status", 'no option "--dns"; did you mean "--dsn"?'),
        ("jobs list --state pendin", '"pendin" is no state; did you mean "pending"?'),
        ("jobs list --limit many", "'many' is not a valid integer"),
        ("jobs list --limit 0", "limit must be from 1 to 1000, got 0"),
        ("jobs list --queue=", "queue must be a non-empty string"),
        ("jobs show seven", '"seven" is no job id'),
        ("jobs show", "Missing argument 'ID'"),
        ("jobs retry", "Missing argument"),
        ("jobs cancel", "give ids, or a filter, or --all"),
        ("jobs cancel 1 --queue mail", "give ids, or a filter, or --all"),
        ("jobs cancel --state dead", '"dead" is no live state'),
        ("dead purge", "give ids, or a filter, or --all"),
        ("dead purge --all --queue mail", "give --all by itself"),
        ("dead purge --older-than soon", '"soon" is no span of time; write 90'),
        ("dead redrive 1 --task t", "give ids or a filter, not both"),
        ("queues pause", "Missing argument 'QUEUE'"),
        ("migrate --sql --check", "give --sql by itself"),
        ("--schema pg_x status", "schema 'pg_x' is reserved"),
        ("--dsn mysql://me:s3cret@h/d status", "dsn 'mysql://me:***@h/d' is not understood"),
        ("--dsn= status", "no dsn"),
        ("worker", "Missing argument 'MODULE:APP'"),
        ("worker a:b --concurrency many", "'many' is not a valid integer"),
        ("worker a:b --concurrency 0", "concurrency must be from 1 to 10000, got 0"),
        ("worker a:b --processes 0", "processes must be from 1 to 1000, got 0"),
        ("worker a:b --max-jobs-per-process 0", "max-jobs-per-process must be 1 or more, got 0"),
        ("worker a:b --lease 0.1", "lease must be from 0.3 to 3600 seconds"),
        ("worker a:b --lease 3 --heartbeat 2", "at most a third of lease (3 s), got 2"),
        ("worker a:b --poll-interval never", '"never" is no span of time'),
        ("worker a:b --grace 2w", "grace must be from 0 to 86400 seconds"),
        ("worker a:b --retention -1", '"-1" is no span of time'),
        ("worker a:b --queue=", "queue must be a non-empty string"),
        ("worker a:b --log-level debgu", '"debgu" is no log level; did you mean "debug"?'),
        ("worker a:b --log-format jsn", '"jsn" is no log format; did you mean "json"?'),
        ("worker a:b --concurency 5", 'no option "--concurency"; did you mean "--concurrency"?'),
        ("worker shop", '"shop" names no app; write module:attribute, as "shop:app"'),
        ("worker shop/jobs.py:app", 'name the module: "shop.jobs:app"'),
        ("postgresql://me:s3cret@h/d", 'no command "postgresql://me:***@h/d"'),
    ],
)
def test_every_wrong_line_exits_with_2(run: Run, line: str, said: str) -> None:
    result = run(*line.split(), PGQUEUE_DSN=NOWHERE)
    assert result.exit_code == 2, result.output
    text = one_line(result)
    assert said in text
    assert "s3cret" not in result.output
    assert result.stdout == ""


def test_no_command_shows_the_help(run: Run) -> None:
    for args in ((), ("jobs",)):
        result = run(*args)
        assert result.exit_code == 2
        assert "Usage: pgqueue" in result.stderr


def test_no_dsn(run: Run) -> None:
    result = run("status")
    assert result.exit_code == 2
    assert "give --app MODULE:APP or --dsn, or set PGQUEUE_DSN" in one_line(result)


def test_help_says_the_exit_codes_and_what_counts(shell: Shell) -> None:
    result = shell("--help")
    assert result.returncode == 0
    for said in ("Exit codes:", "PGQUEUE_DSN", "worker", "demo"):
        assert said in result.stdout
    assert shell("--version").stdout.startswith("pgqueue 0.")


def test_help_imports_little(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, sys\n"
        "atexit.register(lambda: print(sorted({'asyncpg', 'rich', 'psycopg'} & set(sys.modules))))"
    )
    result = shell("--help", env={"PYTHONPATH": str(tmp_path)})
    assert result.stdout.splitlines()[-1] == "[]"


def test_every_command_has_help(run: Run) -> None:
    for line in (
        "worker", "migrate", "status", "workers", "jobs", "jobs list", "jobs show", "jobs retry",
        "jobs cancel", "dead", "dead list", "dead show", "dead redrive", "dead purge", "queues",
        "queues list", "queues pause", "queues resume",
    ):  # fmt: skip
        result = run(*line.split(), "--help")
        assert result.exit_code == 0
        assert "--dsn" in result.stdout


def test_an_unreachable_database_exits_with_1(shell: Shell) -> None:
    result = shell("--dsn", NOWHERE, "jobs", "list", "--json")
    assert result.returncode == 1
    assert result.stdout == ""
    text = one_line(result)
    assert "cannot connect to postgresql://me:***@127.0.0.1:1/x" in text
    assert "s3cret" not in result.stderr


@pytest.mark.parametrize("password", ["s3cret", "s3@cret", "a/s3cret", "s3:cret@x/s3cret"])
@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_no_message_holds_the_password(run: Run, password: str, scheme: str) -> None:
    dsn = f"{scheme}://me:{password}@127.0.0.1:1/x"
    for args in (("--dsn", dsn, "status"), ("status", dsn), (dsn,), ("jobs", "list", "--tag", dsn)):
        result = run(*args, PGQUEUE_DSN=dsn)
        assert result.exit_code in (1, 2)
        one_line(result)
        assert "cret" not in result.output, result.output


def test_a_reader_that_goes_away_is_no_error(shell: Shell, dsn: str, tmp_path: Path) -> None:
    main = "from pgqueue.cli import main; main()"
    done = subprocess.run(
        f"{sys.executable} -c '{main}' status --json | true; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        env={**os.environ, "PGQUEUE_DSN": dsn},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout in ("0\n", "1\n")


def test_a_missing_database_or_schema_exits_with_1(shell: Shell, empty_dsn: str) -> None:
    result = shell("status", env={"PGQUEUE_DSN": empty_dsn})
    assert result.returncode == 1
    assert "run: pgqueue migrate" in one_line(result)


APP = """
import pgqueue
from pgqueue.app import App
from pgqueue.client import Client

app = App()
client = Client()

@app.task
def t() -> None: ...
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with modules that are right and wrong."""
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "__init__.py").touch()
    (shop / "jobs.py").write_text(APP)
    for name, text in {
        "broken": "x = 1\nboom\n",
        "syntax": "def f(:\n",
        "needs": "import nowhere_to_be_found\n",
        "leaves": "raise SystemExit(7)\n",
        "twice": "from pgqueue.app import App\napp = App()\n"
        "@app.task(name='one')\ndef a() -> None: ...\n"
        "@app.task(name='one')\ndef b() -> None: ...\n",
        "naive": "from datetime import datetime\nfrom shop.jobs import t\n"
        "t.using(run_at=datetime(2030, 1, 1))\n",
        "negative": "from shop.jobs import t\nt.using(delay=-1)\n",
        "priority": "from shop.jobs import t\nt.using(priority=11)\n",
        "own": "from pgqueue.app import App\n"
        "app = App('postgresql://me:s3cret@h/d', schema='mine')\n",
    }.items():
        (shop / f"{name}.py").write_text(textwrap.dedent(text))
    (shop / "inner.py").write_text("import shop.jobs\n")
    return tmp_path


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("shpo.jobs:app", 'no module "shpo"; did you mean "shop"?'),
        ("shop.jbos:app", 'no module "shop.jbos"; did you mean "shop.jobs"?'),
        ("shop.jobs.more:app", 'no module "shop.jobs.more"'),
        ("shop.jobs:ap", 'module "shop.jobs" has no "ap"; did you mean "app"?'),
        ("shop.jobs:zzzzz", 'module "shop.jobs" has no "zzzzz"; its apps are app'),
        ("shop:app", 'module "shop" has no "app"; it has no App'),
        ("shop.jobs:t", "shop.jobs:t is not an App but a Task; its apps are app"),
        ("shop.jobs:client", "shop.jobs:client is not an App but a Client; its apps are app"),
        ("shop.broken:app", "NameError: name 'boom' is not defined"),
        ("shop.broken:app", "broken.py, line 2: boom)"),
        ("shop.syntax:app", "SyntaxError"),
        ("shop.syntax:app", "syntax.py, line 1: def f(:)"),
        ("shop.needs:app", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("shop.leaves:app", "SystemExit: 7"),
        ("shop.twice:app", 'two tasks are named "one": shop.twice.a and shop.twice.b'),
        ("shop.naive:app", "has no time zone; use datetime.now(timezone.utc)"),
        ("shop.negative:app", "delay must be from 0 to"),
        ("shop.negative:app", "negative.py, line 2: t.using(delay=-1))"),
        ("shop.priority:app", "priority must be from 0 to 9, got 11"),
    ],
)
def test_a_wrong_target(project: Path, shell: Shell, target: str, said: str) -> None:
    result = shell("worker", target, env={"PGQUEUE_DSN": NOWHERE})
    assert result.returncode == 2
    assert said in one_line(result)


def test_a_module_that_was_imported_twice(project: Path, shell: Shell) -> None:
    (project / "shop" / "jobs.py").write_text(f"import shop.jobs\n{APP}")
    result = shell(
        "worker", "jobs:app", env={"PGQUEUE_DSN": NOWHERE, "PYTHONPATH": str(project / "shop")}
    )
    assert result.returncode == 2
    assert "was imported twice, as jobs and as shop.jobs" in one_line(result)


def test_an_app_with_a_connection_of_its_own(project: Path, shell: Shell) -> None:
    for option, said in (
        (("--dsn", NOWHERE), "the app names its own database, postgresql://me:***@h/d"),
        (("--schema", "x"), 'the app names its own schema, "mine"'),
    ):
        result = shell("worker", "shop.own:app", *option)
        assert result.returncode == 2
        assert said in one_line(result)
        assert "s3cret" not in result.stderr


def test_a_worker_without_a_dsn(project: Path, shell: Shell) -> None:
    result = shell("worker", "shop.jobs:app")
    assert result.returncode == 2
    assert "set PGQUEUE_DSN" in one_line(result)


def test_python_can_be_told_not_to_look_in_the_current_directory(
    project: Path, shell: Shell
) -> None:
    result = shell("worker", "shop.jobs:app", env={"PYTHONSAFEPATH": "1"})
    assert result.returncode == 2
    assert 'no module "shop"' in one_line(result)


def test_a_worker_that_cannot_connect(project: Path, shell: Shell, dsn: str) -> None:
    nowhere = with_database(dsn, "no_such")
    result = shell("worker", "shop.jobs:app", "--dsn", nowhere, "--log-level", "critical")
    assert result.returncode == 1
    assert 'database "no_such" does not exist' in one_line(result)
