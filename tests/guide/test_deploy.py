"""What docs/guide/deploy.md computes, and its files: read by parsers, and run as real processes."""

from __future__ import annotations

import configparser
import itertools
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from pgqueue.config import WorkerSettings
from pgqueue.worker.stop_times import longest, patience
from tests.guide.page import files_of
from tests.harness.pgbouncer import bouncer
from tests.harness.processes import Program
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.one_pg

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "deploy.md").read_text()
FILES = files_of(PAGE)
ROW = re.compile(
    r"^\| (\d+)[^|]* \| (\d+)[^|]* \| ([\d.]+) s \| ([\d.]+) s \| (\d+) s \|$", re.MULTILINE
)
BIN = Path(sys.executable).parent


def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(FILES["shop-worker.service"])
    assert parser["Install"]["WantedBy"] == "multi-user.target"
    return parser["Service"]


def dockerfile(name: str) -> list[str]:
    (words,) = re.findall(rf"^{name} (.*)$", FILES["Dockerfile"], re.MULTILINE)
    return json.loads(words)


def kubernetes() -> dict[str, dict[str, Any]]:
    """The specs of the pods, by kind."""
    documents = list(yaml.safe_load_all(FILES["worker.yaml"]))
    return {one["kind"]: one["spec"]["template"]["spec"] for one in documents}


def compose() -> dict[str, dict[str, Any]]:
    return yaml.safe_load(FILES["compose.yaml"])["services"]


def pod() -> dict[str, Any]:
    (container,) = kubernetes()["Deployment"]["containers"]
    return container


COMMANDS = {
    "systemd": unit()["ExecStart"].removeprefix("/srv/shop/.venv/bin/").split(),
    "docker": dockerfile("CMD"),
    "compose": compose()["worker"]["command"],
    "kubernetes": pod()["args"],
}
WAITS = {
    "systemd": unit()["TimeoutStopSec"],
    "compose": compose()["worker"]["stop_grace_period"].removesuffix("s"),
    "kubernetes": kubernetes()["Deployment"]["terminationGracePeriodSeconds"],
}


def settings_of(command: Sequence[str]) -> WorkerSettings:
    """The settings that matter for a stop, as this command gives them."""
    given = dict(itertools.pairwise(command))
    options = {
        name: float(given[f"--{name}"]) for name in ("grace", "deadline") if f"--{name}" in given
    }
    return WorkerSettings.of(options)


def to_wait(settings: WorkerSettings) -> int:
    """The rule of the page: a second longer than a stop can take."""
    return math.ceil(patience(settings)) + 1


def test_the_table_of_stop_times_is_computed() -> None:
    rows = ROW.findall(PAGE)
    assert len(rows) >= 5
    assert rows[0][:2] == (f"{WorkerSettings().grace:g}", f"{WorkerSettings().deadline:g}")
    for grace, deadline, most, silent, wait in rows:
        settings = WorkerSettings(grace=float(grace), deadline=float(deadline))
        assert (float(most), float(silent)) == (longest(settings), patience(settings))
        assert int(wait) == to_wait(settings)


def test_the_rules_are_those_of_the_worker() -> None:
    settings = WorkerSettings()
    assert f"**grace + {longest(settings) - settings.grace:g} s**" in PAGE
    rest = patience(settings) - settings.grace - 3 * settings.deadline
    assert f"**grace + 3 x deadline + {rest:g} s**" in PAGE
    assert f"**grace + 3 x deadline + {rest + 1:g} s**" in PAGE
    beat, look = settings.heartbeat, settings.poll_interval
    assert f"every {beat:g} to {2 * beat:g} s, and looks for work every {look:g} s" in " ".join(
        PAGE.split()
    )


@pytest.mark.parametrize("manager", WAITS)
def test_a_manager_waits_for_as_long_as_its_command_may_take_to_stop(manager: str) -> None:
    assert int(WAITS[manager]) == to_wait(settings_of(COMMANDS[manager]))


def test_probes_have_the_time_that_they_need() -> None:
    container = pod()
    for probe in (container["readinessProbe"], container["livenessProbe"]):
        assert probe["exec"]["command"] == ["pgqueue", "health", "--here"]
        assert 5 <= probe["timeoutSeconds"] < probe["periodSeconds"]
    liveness = container["livenessProbe"]
    minutes = liveness["periodSeconds"] * liveness["failureThreshold"] / 60
    assert f"here {minutes:g} minutes" in PAGE
    assert compose()["worker"]["healthcheck"]["test"] == ["CMD", "pgqueue", "health", "--here"]
    # An image's ENTRYPOINT, which is its init, stays where only the arguments are given.
    assert all("command" not in one for spec in kubernetes().values() for one in spec["containers"])
    assert dockerfile("ENTRYPOINT") == ["tini", "--"]


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    text = FILES["shop-worker.service"]
    for path, there in (
        ("/srv/shop/.venv/bin/pgqueue", str(BIN / "pgqueue")),
        ("/srv/shop", str(tmp_path)),
        ("User=shop\n", "User=root\n"),
    ):
        assert path in text
        text = text.replace(path, there)
    file = tmp_path / "shop-worker.service"
    file.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if "shop-worker" in line]
    assert (done.returncode, said) == (0, [])


@contextmanager
def running(words: Sequence[str], home: Path, env: Mapping[str, str]) -> Iterator[Program]:
    """Run a command of the page in a directory with its files, until a worker has registered."""
    for name, text in FILES.items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(text)
    program = Program(
        words, home / "log", cwd=home, env={**env, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    )
    try:
        wait_until(
            lambda: not program.runs or "worker started" in program.log(), what="a worker starts"
        )
        assert program.runs, program.log()
        yield program
    finally:
        program.clear_away()


@pytest.mark.alone
@pytest.mark.parametrize("manager", COMMANDS)
def test_a_command_runs_is_well_by_its_probe_and_ends_on_term(
    manager: str, dsn: str, tmp_path: Path
) -> None:
    init = [shutil.which("tini"), "--"] if manager != "systemd" and shutil.which("tini") else []
    env = {"PGQUEUE_DSN": dsn}
    with running([*map(str, init), *COMMANDS[manager]], tmp_path, env) as program:
        probe = subprocess.run(
            [BIN / "pgqueue", "health", "--here"],
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (probe.returncode, probe.stderr) == (0, "")
        program.send(signal.SIGTERM)
        assert program.wait(to_wait(settings_of(COMMANDS[manager]))) == 0, program.log()


@pytest.mark.alone
def test_a_reload_of_systemd_replaces_the_processes(dsn: str, tmp_path: Path) -> None:
    with running(COMMANDS["systemd"], tmp_path, {"PGQUEUE_DSN": dsn}) as program:
        wait_until(lambda: program.log().count("worker started") == 2, what="both start")
        subprocess.run(
            unit()["ExecReload"].replace("$MAINPID", str(program.pid)).split(), check=True
        )
        wait_until(lambda: program.log().count("worker started") == 4, what="their successors")
        program.send(signal.SIGTERM)
        assert program.wait(to_wait(WorkerSettings())) == 0, program.log()


@pytest.mark.alone
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_jobs_run_through_pgbouncer_as_the_page_says(mode: str, dsn: str, tmp_path: Path) -> None:
    argument = {"transaction": "pgbouncer=True", "session": 'pgbouncer="session"'}[mode]
    assert f"`pool_mode = {mode}` | `App(dsn, {argument})`" in PAGE
    with bouncer(dsn, pool_mode=mode) as through, psycopg.connect(dsn, autocommit=True) as db:
        text = FILES["shop/pooled.py"].replace("pgbouncer=True", argument)
        assert argument in text
        (tmp_path / "shop").mkdir()
        (tmp_path / "shop" / "pooled.py").write_text(text)
        db.execute('select pgqueue.enqueue(\'{"task": "resize", "args": {"image": "a"}}\')')
        done = subprocess.run(
            [BIN / "pgqueue", "worker", "shop.pooled:app", "--until-idle"],
            cwd=tmp_path,
            env={**os.environ, "DATABASE_URL": through},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "resize a\n"), done.stderr
