"""``pgqueue enqueue``: with an app the task is checked, without one the name is taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pgqueue.client import Client
from tests.cli.conftest import Run, Shell, one_line

APP = """
import pgqueue

app = pgqueue.App()

@app.task(queue="mail", max_attempts=7)
def greet(name: str, times: int = 1) -> None: ...
"""


@pytest.fixture
def app(tmp_path: Path, dsn: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "jobs.py").write_text(APP)
    monkeypatch.setenv("PGQUEUE_DSN", dsn)
    monkeypatch.setenv("PGQUEUE_APP", "jobs:app")
    return tmp_path


def test_by_name_with_all_options(on: Run, client: Client) -> None:
    result = on(
        "enqueue", "any.name", '{"n": [1, null]}', "--queue", "q", "--priority", 2, "--run-at",
        "2100-01-31T08:00:00+01:00", "--max-attempts", 3, "--timeout", "15m", "--unique-key", "k",
        "--tag", "a", "--tag", "b", "--metadata", '{"m": 1}', "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["duplicate"], told["state"]) == (False, "scheduled")
    job = client.get_job(told["id"])
    assert job is not None
    assert (job.task, job.args, job.queue, job.priority) == ("any.name", {"n": [1, None]}, "q", 2)
    assert (job.max_attempts, job.timeout_seconds, job.unique_key) == (3, 900.0, "k")
    assert (job.tags, job.metadata) == (("a", "b"), {"m": 1})
    assert job.run_at is not None
    assert job.run_at.isoformat() == "2100-01-31T07:00:00+00:00"
    again = on("enqueue", "any.name", "--unique-key", "k")
    assert again.stdout == f"job {job.id} has this unique key already (scheduled); none was made\n"


def test_a_job_that_waits_is_changed(on: Run, client: Client) -> None:
    unique = '{"by": ["doc"], "replace": ["args"]}'
    first = on("enqueue", "index", '{"doc": 1, "v": 1}', "--unique", unique, "--json")
    assert first.exit_code == 0, first.stderr
    told = json.loads(first.stdout)
    assert (told["duplicate"], told["replaced"]) == (False, False)
    again = on("enqueue", "index", '{"doc": 1, "v": 2}', "--unique", unique)
    assert again.stdout == (
        f"job {told['id']} waited with this unique key, and was changed (pending)\n"
    )
    job = client.get_job(told["id"])
    assert job is not None
    assert job.args == {"doc": 1, "v": 2}
    refused = on("enqueue", "index", "--unique", '{"by": ["doc"]}')
    assert refused.exit_code == 2
    assert 'by names "doc", which this call of the task "index" does not give' in refused.stderr


def test_into_the_line_of_a_flow(on: Run, client: Client) -> None:
    line = ("enqueue", "t", "--flow", "crm", "--flow-key", "acme", "--weight", 3)
    said = on(*line).stdout
    assert said == 'job 1 of "t" is blocked in queue "default"\n'
    job = client.get_job(1)
    assert job is not None
    assert (job.flow, job.flow_key, job.weight) == ("crm", "acme", 3)
    assert on("jobs", "show", 1).stdout.count("crm / acme, weight 3") == 1
    refused = on("enqueue", "t", "--weight", 3)
    assert refused.exit_code != 0
    assert "weight belongs to a job of a flow" in refused.stderr


def test_it_expires(on: Run, client: Client) -> None:
    result = on("enqueue", "any.name", "--expires", "1h", "--json")
    assert result.exit_code == 0, result.stderr
    job = client.get_job(json.loads(result.stdout)["id"])
    assert job is not None
    assert job.expires_at is not None
    assert (job.expires_at - job.enqueued_at).total_seconds() == 3600
    refused = on("enqueue", "any.name", "--expires", "1m", "--delay", "1h")
    assert refused.exit_code == 2
    assert "expires (60 s) must be more than delay (3600 s)" in refused.stderr


def test_without_arguments_and_from_stdin(run: Run, dsn: str, client: Client) -> None:
    from click.testing import CliRunner

    from pgqueue.cli.root import cli

    assert run("enqueue", "t", "--delay", "1h", PGQUEUE_DSN=dsn).exit_code == 0
    read = CliRunner().invoke(
        cli, ["enqueue", "t", "-"], input='{"n": 1}', env={"PGQUEUE_DSN": dsn}
    )
    assert read.stdout.endswith('of "t" is pending in queue "default"\n')
    assert sorted(str(job.args) for job in client.list_jobs()) == ["{'n': 1}", "{}"]


def test_with_an_app_the_task_gives_its_own_options(
    app: Path, shell: Shell, client: Client
) -> None:
    done = shell("enqueue", "greet", '{"name": "Ada"}')
    assert done.stdout.endswith('of "greet" is pending in queue "mail"\n'), done.stderr
    (job,) = client.list_jobs()
    assert (job.queue, job.max_attempts, job.args) == ("mail", 7, {"name": "Ada"})


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("gret",), 'no task is named "gret"; did you mean "greet"?; --dsn enqueues by name'),
        (("greet", '{"nam": "Ada"}'), "nam"),
        (("greet", '{"name": 3}'), "name"),
        (("greet", "{}"), "name"),
    ],
)
def test_with_an_app_what_does_not_fit_is_refused(
    app: Path, shell: Shell, client: Client, args: tuple[str, ...], said: str
) -> None:
    result = shell("enqueue", *args)
    assert result.returncode == 2
    assert said in one_line(result)
    assert client.list_jobs() == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("t", "[1]"), "JSON must be an object of parameters by name"),
        (("t", "{name: 1}"), "JSON cannot be read: "),
        (("t", "--metadata", "3"), "--metadata must be an object"),
        (("t", "--run-at", "noon"), '"noon" is no moment; write 2030-01-31T08:00:00+01:00'),
        (("t", "--run-at", "2030-01-31T08:00"), "has no time zone"),
        (("t", "--run-at", "2030-01-31T08:00Z", "--delay", "1h"), "delay or run_at, not both"),
        (("t", "--priority", "11"), "priority must be from 0 to 9, got 11"),
        (("t", "--queue", ""), "queue must be a non-empty string"),
        ((), "Missing argument 'TASK'"),
    ],
)
def test_wrong_lines(on: Run, client: Client, line: tuple[str, ...], said: str) -> None:
    result = on("enqueue", *line)
    assert result.exit_code == 2
    assert said in one_line(result)
    assert client.list_jobs() == []
