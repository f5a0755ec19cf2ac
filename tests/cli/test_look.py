"""Commands that say how it goes: status, queues, health, a job in full."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from pgqueue import App, Worker
from pgqueue.client import Client
from tests.cli.conftest import Run, bury, one_line
from tests.worker.support import quick

WORKER = (
    "insert into pgqueue.worker (id, heartbeat_at, started_at, server_start, pid, concurrency,"
    " lease_seconds, host, version, queues, tasks)"
    " values (%s, now(), now(), now(), 42, 10, 15, 'myhost', '0.1', %s, %s)"
)


def register(db: psycopg.Connection, worker: int, queues: list[str], tasks: list[str]) -> None:
    db.execute(WORKER, (worker, queues, tasks))
    for table, column in (("queue", "name"), ("turn", "queue")):
        db.execute(
            f"insert into pgqueue.{table} ({column}) select unnest(%s::text[])"
            " on conflict do nothing",
            (queues,),
        )


def test_where_no_live_worker_serves_a_queue_or_knows_a_task(
    on: Run, client: Client, db: psycopg.Connection
) -> None:
    client.enqueue_many([client.job("known"), client.job("strange"), client.job("strange")])
    client.enqueue("t", queue="mail")
    for command in (("status",), ("queues", "list")):
        assert 'no live worker serves queues "default", "mail"' in on(*command).stdout
    register(db, 1, ["default"], ["known"])
    for command in (("status",), ("queues", "list")):
        said = on(*command).stdout
        assert 'no live worker serves queue "mail"\n' in said
        assert 'queue "default": no live worker knows task "strange" (2 ready)\n' in said
    (default, _) = json.loads(on("queues", "list", "--json").stdout)
    assert (default["workers"], default["unknown"]["strange"]) == (1, 2)
    register(db, 2, ["mail", "default"], [])  # one that does not say what it knows
    assert "no live worker" not in on("status").stdout
    db.execute("update pgqueue.worker set heartbeat_at = now() - interval '16 s'")
    assert "no live worker serves queues" in on("status").stdout


async def test_a_worker_says_which_tasks_it_knows(on: Run, dsn: str) -> None:
    app = App(dsn)

    @app.task(queue="mail")
    def known() -> None: ...

    async with Worker(app, **quick()):
        rows = await app.pool.arun(lambda c: c.fetch("select tasks from pgqueue.worker"))
        assert [row["tasks"] for row in rows] == [["known"]]
    await app.aclose()


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_queue_of_an_unknown_name_is_refused_with_the_nearest(
    on: Run, client: Client, verb: str
) -> None:
    client.enqueue("t", queue="mail")
    result = on("queues", verb, "mial")
    assert result.exit_code == 1
    assert one_line(result).startswith('no queue is named "mial"; did you mean "mail"?')
    assert [queue.name for queue in client.queues()] == ["mail"]
    assert on("queues", verb, "mail").exit_code == 0


def test_health_says_why_and_exits_with_1(on: Run, client: Client, db: psycopg.Connection) -> None:
    nobody = on("health")
    assert (nobody.exit_code, nobody.stdout) == (1, "no live worker\n")
    register(db, 1, ["default"], [])
    well = on("health")
    assert (well.exit_code, well.stdout) == (0, "ok: 1 live worker, nothing is ready\n")
    client.enqueue("t", queue="mail")
    db.execute("update pgqueue.job set run_at = now() - interval '1 h'")
    result = on("health", "--json")
    assert result.exit_code == 1
    verdict = json.loads(result.stdout)
    assert not verdict["ok"]
    assert verdict["problems"][0] == 'no live worker serves queue "mail"'
    assert verdict["problems"][1].startswith('queue "mail": its oldest ready job has waited for 36')
    assert on("health", "--queue", "default").exit_code == 0
    register(db, 2, ["mail"], [])
    assert on("health", "--max-age", "2h").exit_code == 0
    assert on("health", "--max-age", "30m").exit_code == 1


def test_health_of_this_host_looks_at_its_workers_alone(
    on: Run, client: Client, db: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "myhost")
    nobody = on("health", "--here")
    assert (nobody.exit_code, nobody.stdout) == (1, 'no live worker on host "myhost"\n')
    register(db, 1, ["default"], [])
    client.enqueue("t", queue="mail")  # nobody serves it
    assert on("health").exit_code == 1
    well = on("health", "--here")
    assert (well.exit_code, well.stdout) == (0, 'ok: 1 live worker on host "myhost"\n')
    assert json.loads(on("health", "--here", "--json").stdout)["host"] == "myhost"
    result = on("health", "--here", "--queue", "mail")
    assert result.exit_code == 2
    assert one_line(result).startswith("--here looks at no queue: leave out --queue")


def test_health_counts_dead_letters_where_a_bound_is_given(
    on: Run, client: Client, db: psycopg.Connection
) -> None:
    register(db, 1, ["default"], [])
    bury(db, client.enqueue("t").id)
    assert on("health").exit_code == on("health", "--max-dead", "1").exit_code == 0
    result = on("health", "--max-dead", "0")
    assert (result.exit_code, result.stdout) == (1, "1 dead letter, more than 0\n")


def test_health_of_a_database_without_the_schema(run: Run, empty_dsn: str) -> None:
    result = run("health", PGQUEUE_DSN=empty_dsn)
    assert result.exit_code == 1
    assert "run: pgqueue migrate" in one_line(result)


def test_a_job_in_full_shows_each_traceback_once(on: Run, dsn: str) -> None:
    from pgqueue import Backoff

    app = App(dsn)

    @app.task(max_attempts=3, retry=Backoff(base=0.0))
    def fails() -> None:
        raise ValueError("no")

    job = fails.enqueue()
    asyncio.run(Worker(app, **quick()).run(until_idle=True))
    app.close()
    said = on("jobs", "show", job.id).stdout
    assert said.count('raise ValueError("no")') == 1
    assert said.count("    the traceback is that of attempt 1\n") == 2
    assert said.count(f" on {os.uname().nodename}:{os.getpid()}\n") == 3
    assert said.count(" after ") == 3
    for name in ("waited", "ran"):
        assert any(line.startswith(name) for line in said.splitlines())
    shown = json.loads(on("jobs", "show", job.id, "--json").stdout)
    assert all(error["claimed_at"] <= error["at"] for error in shown["errors"])


def test_a_status_that_is_watched_ends_well_on_ctrl_c(
    dsn: str, client: Client, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", "from pgqueue.cli import main; main()", "status", "--watch"]
    with subprocess.Popen(
        [*command, "--every", "0.1", "--json"],
        env={**os.environ, "PGQUEUE_DSN": dsn},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert json.loads(process.stdout.readline())["jobs"]["pending"] == 0
            client.enqueue("t")
            while json.loads(process.stdout.readline())["jobs"]["pending"] == 0:
                pass
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, stderr) == (0, "")


@pytest.mark.parametrize("line", ["status", "jobs list", "health", "enqueue t", "queues list"])
def test_no_command_but_migrate_makes_an_embedded_cluster(
    run: Run, tmp_path: Path, line: str
) -> None:
    result = run("--dsn", f"embedded:{tmp_path / 'none'}", *line.split())
    assert result.exit_code != 0
    one_line(result)
    assert not (tmp_path / "none").exists()


def test_lists_show_the_last_error_and_a_reason_that_says_something_else(
    on: Run, dsn: str, client: Client, db: psycopg.Connection
) -> None:
    app = App(dsn)

    @app.task(retry=lambda attempt, error: None)
    def load(path: str) -> None:
        raise ValueError(f"{path}, line 2")

    load.enqueue("a.csv")
    app.run_until_idle_sync()
    said = on("dead", "list").stdout
    assert "ValueError: a.csv, line 2" in said
    db.execute("update pgqueue.dead set reason = 'three workers died'")
    assert "three workers died" in on("dead", "list").stdout
    app.close()


def test_a_job_says_why_it_waits(on: Run, client: Client, db: psycopg.Connection) -> None:
    def waits(job_id: int) -> list[str]:
        found: list[str] = json.loads(on("jobs", "show", str(job_id), "--json").stdout)[
            "why_waiting"
        ]
        return found

    first, second = client.enqueue("known").id, client.enqueue("known").id
    later = client.enqueue("known", delay=3600).id
    assert waits(first) == ["no live worker"]
    register(db, 1, ["mail"], [])
    assert waits(first) == ['no live worker serves queue "default"']
    register(db, 2, ["default"], ["strange"])
    assert waits(first) == ['no live worker that serves queue "default" knows task "known"']
    register(db, 3, ["default"], ["known"])
    assert waits(first) == ["it is next: a free worker takes it at once"]
    assert waits(second) == ['1 job is before it in queue "default"']
    db.execute("update pgqueue.job set worker_id = 3, claim_token = 1 where id = %s", (first,))
    assert (waits(first), waits(second)) == ([], ["it is next: a free worker takes it at once"])
    db.execute("update pgqueue.job set worker_id = null, claim_token = null")
    (due,) = waits(later)
    assert due.startswith("it is due in 3")
    db.execute("update pgqueue.worker set takes_jobs = false")
    assert waits(first) == ["the one worker that could run it is busy"]
    client.pause("default")
    assert 'waits       queue "default" was paused at 2' in on("jobs", "show", str(first)).stdout
    client.cancel(first)
    assert waits(first) == []
