"""Every command on a real database: what it does, what it prints, how it exits."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from click.testing import Result

from pgqueue.admin import jobs as admin_jobs
from pgqueue.client import Client
from tests.cli.conftest import Run, bury, one_line


def parsed(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    assert len(result.stdout.splitlines()) == 1
    return json.loads(result.stdout)


def test_migrate_checks_installs_and_is_done(run: Run, empty_dsn: str) -> None:
    def on(*args: str) -> Result:
        return run("--dsn", empty_dsn, "migrate", *args)

    checked = on("--check")
    assert checked.exit_code == 3
    assert checked.stdout.startswith("missing: 0001_first")
    status = json.loads(on("--check", "--json").stdout)
    assert (status["version"], status["missing"][0]) == (None, "0001_first")
    assert one_line(run("--dsn", empty_dsn, "status")) == (
        'schema "pgqueue" has no pgqueue tables; run: pgqueue migrate'
    )
    assert "create table" in on("--sql").stdout
    assert "applied: 0001_first" in on().stdout
    assert parsed(on("--json"))["applied"] == []
    assert on("--check").exit_code == 0
    assert on("--sql").stdout.strip() == ""


def test_migrate_sql_without_a_database_is_everything_and_runs(run: Run, empty_dsn: str) -> None:
    result = run("migrate", "--sql", "--schema", "jobs")
    assert result.exit_code == 0
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute(result.stdout.encode())
    assert run("--dsn", empty_dsn, "migrate", "--check", "--schema", "jobs").exit_code == 0


def test_reads_are_one_json_value(on: Run, client: Client, db: psycopg.Connection) -> None:
    job = client.enqueue("t", {"n": 1}, queue="mail", tags=["a"]).id
    dead = client.enqueue("t").id
    bury(db, dead)
    (listed,) = parsed(on("jobs", "list", "--state", "pending", "--json"))
    assert {**listed, "why_waiting": ["no live worker"]} == parsed(
        on("jobs", "show", job, "--json")
    )
    assert (listed["id"], listed["state"], listed["args"]) == (job, "pending", {"n": 1})
    assert listed["enqueued_at"].endswith("+00:00")
    assert [one["id"] for one in parsed(on("dead", "list", "--json"))] == [dead]
    assert parsed(on("dead", "show", dead, "--json"))["reason"] == "it failed"
    assert parsed(on("dead", "list", "--count", "--json"))[0]["jobs"] == 1
    queues = {queue["name"]: queue for queue in parsed(on("queues", "list", "--json"))}
    assert (queues["mail"]["ready"], queues["mail"]["inexact"]) == (1, {})
    assert parsed(on("workers", "--json")) == []
    status = parsed(on("status", "--json"))
    assert (status["jobs"]["pending"], status["jobs"]["dead"]) == (1, 1)


def test_status_says_what_waits_for_a_worker_that_its_arguments_fit(
    on: Run, client: Client, db: psycopg.Connection
) -> None:
    assert "arguments" not in on("status").stdout
    assert parsed(on("status", "--json"))["misfits"] == {}
    client.enqueue("mail", delay=60)
    client.enqueue("other", delay=60)
    db.execute(
        "update pgqueue.job set errors = jsonb_build_array(jsonb_build_object('type', $$X$$),"
        " jsonb_build_object('type', 'ArgumentsDoNotFit')) where task = 'mail'"
    )
    said = on("status").stdout
    assert "jobs that wait for a worker that their arguments fit" in said
    assert parsed(on("status", "--json"))["misfits"]["mail"] == 1
    assert "other" not in parsed(on("status", "--json"))["misfits"]


def test_reads_for_people(on: Run, client: Client, db: psycopg.Connection) -> None:
    job = client.enqueue("send_receipt", queue="mail").id
    db.execute(
        "insert into pgqueue.worker (id, heartbeat_at, started_at, server_start, pid, concurrency,"
        " lease_seconds, host, version, queues)"
        " values (1, now(), now(), now(), 42, 10, 15, 'myhost', '0.1', '{mail}')"
    )
    for args in (("jobs", "list"), ("jobs", "show", job), ("status",), ("queues", "list")):
        result = on(*args)
        assert result.exit_code == 0
        assert "mail" in result.stdout
    assert "myhost" in on("workers").stdout
    empty = on("dead", "list")
    assert (empty.exit_code, empty.stdout, empty.stderr) == (0, "", "no jobs\n")


def test_pages(on: Run, client: Client) -> None:
    ids = [client.enqueue("t").id for _ in range(3)]
    first = on("jobs", "list", "--limit", "2")
    assert f"--before {ids[1]}" in first.stderr
    (last,) = parsed(on("jobs", "list", "--before", ids[1], "--json"))
    assert last["id"] == ids[0]


def test_a_list_that_did_not_look_at_all_jobs_says_so(
    on: Run, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_jobs, "LIST_BOUND", 3)
    first, *rest = (client.enqueue(name).id for name in ("a", "b", "b", "b", "a"))
    some = on("jobs", "list", "--task", "a")
    assert f" {first} " not in some.stdout
    assert some.stderr == f"there may be more: repeat the command with --before {rest[1]}\n"
    none = on("jobs", "list", "--task", "c", "--json")
    assert (parsed(none), "--before" in none.stderr) == ([], True)
    last = on("jobs", "list", "--task", "a", "--before", rest[1])
    assert (f"{first} " in last.stdout, last.stderr) == (True, "")


def test_cancel_and_retry_by_id(on: Run, client: Client) -> None:
    job = client.enqueue("t").id
    (cancelled,) = parsed(on("jobs", "cancel", job, "--json"))
    assert cancelled == {"id": job, "state": "cancelled", "changed": True}
    assert on("jobs", "cancel", job).exit_code == 0
    assert "ready now" in on("jobs", "retry", job).stdout
    for command in ("cancel", "retry"):
        result = on("jobs", command, job, 10**15)
        assert result.exit_code == 1
        assert one_line(result) == f"job {10**15} not found"


def test_cancel_by_filter_only_counts_without_yes(on: Run, client: Client) -> None:
    for queue in ("a", "a", "b"):
        client.enqueue("t", queue=queue)
    dry = on("jobs", "cancel", "--queue", "a")
    assert dry.stdout == "2 jobs would be cancelled; add --yes to do it\n"
    assert parsed(on("jobs", "cancel", "--all", "--json"))["matched"] == 3
    assert len(client.list_jobs(state="pending")) == 3
    done = parsed(on("jobs", "cancel", "--queue", "a", "--yes", "--json"))
    assert done == {"dry_run": False, "cancelled": 2, "requested": 0}
    assert [job.queue for job in client.list_jobs(state="pending")] == ["b"]


def test_a_bulk_cancel_takes_more_than_a_batch(on: Run, client: Client) -> None:
    client.enqueue_many([client.job("t") for _ in range(2500)])
    result = on("jobs", "cancel", "--all", "--yes")
    assert result.stdout == "2500 cancelled, 0 running ones asked to stop\n"


def test_redrive(on: Run, client: Client, db: psycopg.Connection) -> None:
    ids = [client.enqueue("t", queue="mail").id for _ in range(3)]
    key = client.enqueue("t", unique_key="k").id
    bury(db, *ids, key)
    live = client.enqueue("t", unique_key="k").id
    assert on("dead", "redrive", ids[0]).exit_code == 0
    assert on("dead", "redrive", "--queue", "mail").stdout.startswith("2 dead letters would be")
    assert len(client.list_dead()) == 3
    assert parsed(on("dead", "redrive", "--all", "--yes", "--json"))["redriven"] == 2
    held = on("dead", "redrive", key)
    assert held.exit_code == 1
    assert one_line(held) == f"job {key} left as it was: job {live} has its unique key"
    assert one_line(on("dead", "show", ids[0])).startswith(f"job {ids[0]} is not dead but pending")


def test_purge_is_a_dry_run_without_yes(on: Run, client: Client, db: psycopg.Connection) -> None:
    ids = [client.enqueue("t", queue="mail").id for _ in range(3)]
    bury(db, *ids)
    assert on("dead", "purge", ids[0]).stdout.startswith("1 dead letters would be deleted")
    assert on("dead", "purge", "--all").stdout.startswith("3 dead letters would be deleted")
    assert on("dead", "purge", "--older-than", "1h", "--yes").stdout == "0 deleted\n"
    assert on("dead", "purge", ids[0], "--yes").stdout == "1 deleted\n"
    assert parsed(on("dead", "purge", "--all", "--yes", "--json"))["deleted"] == 2
    assert client.list_dead() == []


def test_pause_and_resume(on: Run, client: Client) -> None:
    assert on("queues", "pause", "mail", "--new").stdout == 'queue "mail" is paused\n'
    assert client.queues()[0].paused_at is not None
    assert on("queues", "pause", "mail").stdout == 'queue "mail" was paused already\n'
    assert on("queues", "resume", "mail").stdout == 'queue "mail" is resumed\n'
    assert client.queues()[0].paused_at is None


EVIL = "a\x1b]0;owned\x07\x1b[31mred\u202ecod\u2066\x9b31m\r"


def test_no_data_acts_on_the_terminal(on: Run, client: Client, db: psycopg.Connection) -> None:
    job = client.enqueue("t", {"x": EVIL}, tags=[EVIL], metadata={"m": EVIL}).id
    error = json.dumps([{"attempt": 1, "type": EVIL, "message": EVIL, "traceback": f"{EVIL}\nb"}])
    db.execute("update pgqueue.job set task = %s, queue = %s, errors = %s", (EVIL, EVIL, error))
    db.execute("insert into pgqueue.queue (name) values (%s)", (EVIL,))
    for as_json in ((), ("--json",)):
        for args in (("jobs", "list"), ("jobs", "show", job), ("queues", "list"), ("status",)):
            result = on(*args, *as_json)
            assert result.exit_code == 0
            assert not set(result.output) & set("\x1b\x07\r\x7f\x9b\u202e\u2066"), args
    assert "\\x1b" in on("jobs", "show", job).stdout
    result = on("jobs", "show", EVIL)
    assert not set(result.stderr) & set("\x1b\x07\r\x9b\u202e")
    one_line(result)


@pytest.mark.parametrize("place", ["before", "after", "middle"])
def test_connection_options_go_anywhere(run: Run, dsn: str, place: str) -> None:
    options = ["--dsn", dsn, "--schema", "pgqueue"]
    where = {"before": 0, "middle": 1, "after": 2}[place]
    args = ["queues", "list"]
    result = run(*args[:where], *options, *args[where:])
    assert result.exit_code == 0, result.stderr


def test_options_win_over_the_environment_and_it_over_the_default(
    run: Run, dsn: str, empty_dsn: str
) -> None:
    """Every row: options left and right of the command, environment, the schema that is used."""
    run("migrate", "--schema", "other", PGQUEUE_DSN=empty_dsn)
    nowhere = "postgresql://nobody@127.0.0.1:1/x"
    table: list[tuple[list[str], list[str], dict[str, str], str]] = [
        ([], [], {"PGQUEUE_DSN": dsn}, "pgqueue"),
        ([], [], {"PGQUEUE_DSN": empty_dsn, "PGQUEUE_SCHEMA": "other"}, "other"),
        (["--dsn", dsn], [], {"PGQUEUE_DSN": nowhere}, "pgqueue"),
        ([], ["--dsn", dsn], {"PGQUEUE_DSN": nowhere}, "pgqueue"),
        (["--dsn", nowhere], ["--dsn", dsn], {}, "pgqueue"),
        (
            ["--schema", "other"],
            [],
            {"PGQUEUE_DSN": empty_dsn, "PGQUEUE_SCHEMA": "wrong"},
            "other",
        ),
        (
            ["--schema", "wrong"],
            ["--schema", "other"],
            {"PGQUEUE_DSN": empty_dsn, "PGQUEUE_SCHEMA": "wrong"},
            "other",
        ),
    ]
    for before, after, env, schema in table:
        result = run(*before, "status", *after, "--json", **env)
        assert result.exit_code == 0, (before, after, env, result.stderr)
        assert json.loads(result.stdout)["schema"] == schema


def test_through_pgbouncer(run: Run, bouncer_dsn: str, client: Client) -> None:
    job = client.enqueue("t").id
    lines = ["migrate --check", "status", "jobs list", f"jobs cancel {job}", f"jobs retry {job}"]
    lines += ["dead list", "queues list", "queues pause q --new", "queues resume q", "workers"]
    for line in (*lines, "migrate --sql", "migrate"):
        result = run(*line.split(), PGQUEUE_DSN=bouncer_dsn)
        assert result.exit_code == 0, (line, result.stderr)
