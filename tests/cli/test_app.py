"""Commands that find the database through the app: after a first job no option is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Shell, one_line

APP = """
import pgqueue

print("imported")
app = pgqueue.App({dsn})

@app.task
def greet(name: str) -> None:
    if name == "chain":
        greet.enqueue("end")
    if name == "fails":
        raise ValueError("no")
"""


@pytest.fixture
def project(tmp_path: Path, dsn: str) -> Path:
    (tmp_path / "jobs.py").write_text(APP.format(dsn=repr(dsn)))
    (tmp_path / "follows.py").write_text(APP.format(dsn=""))
    (tmp_path / "wrong.py").write_text("import pgqueue\nx = 1\ny = boom\n")
    return tmp_path


@pytest.mark.parametrize("args", [("--app", "jobs:app"), ("-A", "jobs:app")])
def test_the_app_names_the_database(project: Path, shell: Shell, args: tuple[str, str]) -> None:
    result = shell(*args, "status", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["jobs"]["pending"] == 0
    assert result.stderr == "imported\n"
    assert shell("queues", "list", *args).returncode == 0


def test_the_environment_and_the_project_name_the_app(project: Path, shell: Shell) -> None:
    assert shell("status", env={"PGQUEUE_APP": "jobs:app"}).returncode == 0
    (project / "pyproject.toml").write_text('[tool.pgqueue]\napp = "jobs:app"\n')
    for line in ("status", "jobs list", "migrate --check", "workers", "migrate --sql"):
        result = shell(*line.split())
        assert result.returncode == 0, result.stderr


def test_a_dsn_goes_without_the_app_of_the_project(
    project: Path, shell: Shell, dsn: str, empty_dsn: str
) -> None:
    (project / "pyproject.toml").write_text('[tool.pgqueue]\napp = "wrong:app"\n')
    said = one_line(shell("status"))
    assert 'module "wrong" cannot be imported: NameError' in said
    assert "wrong.py, line 3: y = boom)" in said
    assert said.endswith("names this app: --dsn goes without it")
    assert shell("status", "--dsn", dsn).returncode == 0
    assert "run: pgqueue migrate" in one_line(shell("status", "--dsn", empty_dsn))


def test_an_app_that_leaves_it_open_follows_the_options(
    project: Path, shell: Shell, dsn: str
) -> None:
    assert shell("-A", "follows:app", "status", "--dsn", dsn).returncode == 0
    assert shell("-A", "follows:app", "status", env={"PGQUEUE_DSN": dsn}).returncode == 0
    nothing = shell("-A", "follows:app", "status")
    assert nothing.returncode == 2
    assert "set PGQUEUE_DSN" in nothing.stderr
    other = shell("-A", "jobs:app", "status", "--dsn", "postgresql://h/d")
    assert other.returncode == 2
    assert "the app names its own database" in other.stderr


def test_a_libpq_keyword_dsn_will_do(project: Path, shell: Shell, dsn: str) -> None:
    from pgqueue.dsn import parse

    pairs = " ".join(f"{key}='{value}'" for key, value in parse(dsn).items())
    assert shell("status", "--dsn", pairs).returncode == 0


def test_a_worker_needs_an_app_and_takes_it_from_everywhere(project: Path, shell: Shell) -> None:
    said = one_line(shell("worker", "--until-idle"))
    assert said.startswith("Missing argument 'MODULE:APP'; give it as MODULE:APP, as --app, in")
    for args, env in (
        (("jobs:app",), {}),
        (("--app", "jobs:app"), {}),
        ((), {"PGQUEUE_APP": "jobs:app"}),
    ):
        result = shell("worker", *args, "--until-idle", env=env, timeout=120)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("processes", ["1", "3"])
def test_a_worker_until_idle_works_off_what_is_due_and_ends_well(
    project: Path, shell: Shell, processes: str
) -> None:
    (project / "pyproject.toml").write_text('[tool.pgqueue]\napp = "jobs:app"\n')
    from pgqueue import App

    app = App(shell_dsn(project))
    jobs = [app.job("greet", {"name": name}) for name in ("chain", "fails", *"abcdefgh")]
    app.enqueue_many([*jobs, app.job("greet", {"name": "later"}, delay=3600)])
    (project / "sub").mkdir()
    result = shell("worker", "--until-idle", "--processes", processes, timeout=120)
    assert result.returncode == 0, result.stderr
    states = app.status().jobs
    assert (states["completed"], states["scheduled"], states["pending"]) == (10, 2, 0)
    assert app.workers() == []
    app.close()


def shell_dsn(project: Path) -> str:
    text = (project / "jobs.py").read_text()
    return text.partition("pgqueue.App('")[2].partition("')")[0]
