"""What docs/guide/monitor.md gives to other programs, all of it tried: SQL, metrics, alerts."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
import yaml
from psycopg.rows import dict_row

from pgqueue import Client, JobState
from pgqueue.admin.info import QueueInfo, Status, StillFlow, WorkerInfo
from tests.cli.conftest import bury
from tests.cli.test_look import register
from tests.guide.page import files_of
from tests.security.conftest import Logins

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "monitor.md").read_text()
FILES = files_of(PAGE)
COLLECTOR = yaml.safe_load(FILES["pgqueue.collector.yml"])
METRICS = {metric["metric_name"]: metric for metric in COLLECTOR["metrics"]}
RULES = [
    rule
    for group in yaml.safe_load(FILES["pgqueue.rules.yml"])["groups"]
    for rule in group["rules"]
]
STATES = ("pending", "running", "scheduled", "dead")


def columns(title: str) -> list[str]:
    """The first column of the table with this title."""
    table = PAGE.partition(f"| {title} |")[2].partition("\n\n")[0]
    return [line.split("|")[1].strip() for line in table.splitlines()[2:]]


def names(struct: type[msgspec.Struct]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(struct)}


@pytest.fixture
def db(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def viewer(dsn: str, db: psycopg.Connection) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A login that may do no more than monitoring needs."""
    logins = Logins(db, dsn, inherit=True)
    logins.make()
    with psycopg.connect(
        logins.dsn_of("viewer"), autocommit=True, row_factory=dict_row
    ) as connection:
        yield connection
    logins.drop()


@pytest.fixture
def busy(dsn: str, db: psycopg.Connection) -> None:
    """Jobs in several states: mail has no worker, and pictures are run by one."""
    register(db, 7, ["pictures"], ["resize"])
    with Client(dsn) as client:
        client.enqueue("letter", queue="mail")
        client.enqueue("resize", queue="pictures")
        running, failed = (client.enqueue("resize", queue="pictures").id for _ in "ab")
        again = client.enqueue("resize", queue="pictures", delay=60).id
        client.pause("later")
    db.execute("update pgqueue.job set run_at = now() - interval '1 h' where queue = 'mail'")
    db.execute(
        "update pgqueue.job set worker_id = 7, claim_token = 1, attempt = 1,"
        " claimed_at = now() - interval '2 h' where id = %s",
        (running,),
    )
    db.execute("update pgqueue.job set attempt = 3 where id = %s", (again,))
    bury(db, failed)


def collected(viewer: psycopg.Connection[dict[str, Any]], name: str) -> dict[str, float]:
    """What sql_exporter makes of a metric: a number for each combination of labels."""
    metric = METRICS[name]
    labels = metric.get("key_labels", [])
    (value,) = metric["values"]
    found: dict[str, float] = {}
    for row in viewer.execute(metric["query"].encode()).fetchall():
        assert set(row) == {*labels, value}
        assert isinstance(row[value], int | float)
        key = "/".join(row[label] for label in labels)
        assert key not in found, "Prometheus refuses the same labels twice"
        found[key] = row[value]
    return found


def test_every_number_of_a_status_is_explained_and_no_other() -> None:
    explained = {name for cell in columns("number") for name in re.findall(r"`([^`]+)`", cell)}
    nested = {"jobs", "queues", "workers", "still_flows"}
    expected = names(Status) - nested
    expected |= {f"jobs.{state}" for state in JobState}
    expected |= {f"queues[].{name}" for name in names(QueueInfo)}
    expected |= {f"workers[].{name}" for name in names(WorkerInfo)}
    expected |= {f"still_flows[].{name}" for name in names(StillFlow)}
    # What counts of the server are watched for is another table of this title.
    assert explained - {"max_connections"} == expected


@pytest.mark.usefixtures("busy")
def test_metrics_say_what_is_there(viewer: psycopg.Connection[dict[str, Any]]) -> None:
    jobs = collected(viewer, "pgqueue_jobs")
    assert set(jobs) == {
        f"{queue}/{state}" for queue in ("later", "mail", "pictures") for state in STATES
    }
    assert {key: count for key, count in jobs.items() if count} == {
        "mail/pending": 1,
        **{f"pictures/{state}": 1 for state in STATES},
    }
    oldest = collected(viewer, "pgqueue_oldest_ready_seconds")
    assert oldest.pop("later") == 0
    assert oldest.pop("mail") >= 3600 > oldest.pop("pictures") >= 0
    longest = collected(viewer, "pgqueue_longest_running_seconds")
    assert list(longest) == ["pictures"]
    assert longest["pictures"] >= 7200
    assert collected(viewer, "pgqueue_waiting_for_retry") == {"pictures/resize": 1}
    assert collected(viewer, "pgqueue_workers") == {"later": 0, "mail": 0, "pictures": 1}
    assert collected(viewer, "pgqueue_paused") == {"later": 1, "pictures": 0}
    assert collected(viewer, "pgqueue_became_ready_total")[""] >= 4


def test_metrics_of_an_empty_queue(viewer: psycopg.Connection[dict[str, Any]]) -> None:
    found = {name: collected(viewer, name) for name in METRICS}
    of_any_schema = {
        "pgqueue_became_ready_total", "pgqueue_duty_overdue_seconds", "pgqueue_schedules",
    }  # fmt: skip
    assert {name for name, values in found.items() if values} == of_any_schema


def test_upkeep_that_nobody_does_is_told(
    db: psycopg.Connection, viewer: psycopg.Connection[dict[str, Any]]
) -> None:
    db.execute("update pgqueue.duty set due_at = now() + interval '1 h'")
    db.execute("update pgqueue.duty set due_at = now() - interval '2 h' where name = 'retention'")
    overdue = collected(viewer, "pgqueue_duty_overdue_seconds")
    assert overdue.pop("retention") >= 7200
    assert overdue == {"depth": 0, "history": 0, "lines": 0, "orphans": 0}


def test_schedules_that_stand_still_are_counted(
    dsn: str, db: psycopg.Connection, viewer: psycopg.Connection[dict[str, Any]]
) -> None:
    with Client(dsn) as client:
        for name in ("well", "late", "paused", "orphan"):
            client.schedules.set(name, task="report", cron="@daily")
        client.schedules.pause("paused")
    assert collected(viewer, "pgqueue_schedules") == {"late": 0, "orphaned": 0}
    db.execute(
        "update pgqueue.schedule set next_at = now() - interval '2 min' where name <> 'well'"
    )
    db.execute("update pgqueue.schedule set orphaned_at = now() where name = 'orphan'")
    assert collected(viewer, "pgqueue_schedules") == {"late": 1, "orphaned": 1}


@pytest.mark.usefixtures("busy")
def test_a_worker_without_heartbeats_serves_nobody(
    db: psycopg.Connection, viewer: psycopg.Connection[dict[str, Any]]
) -> None:
    db.execute("update pgqueue.worker set heartbeat_at = now() - interval '16 s'")
    assert set(collected(viewer, "pgqueue_workers").values()) == {0}


def test_metrics_and_the_backlog_read_no_history(db: psycopg.Connection) -> None:
    queries = [metric["query"] for metric in METRICS.values()]
    for query in (*queries, FILES["backlog.sql"], FILES["longest.sql"]):
        plan = str(db.execute(f"explain {query}".encode()).fetchall())
        assert "Scan" in plan
        assert "history" not in plan


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(("name", "rows"), [("backlog", 5), ("done", 1), ("longest", 1)])
def test_a_viewer_may_read_the_dashboards(
    name: str, rows: int, viewer: psycopg.Connection[dict[str, Any]]
) -> None:
    assert len(viewer.execute(FILES[f"{name}.sql"].encode()).fetchall()) == rows


def test_alerts_use_metrics_that_there_are_and_each_has_its_reason() -> None:
    for rule in RULES:
        used = set(re.findall(r"pgqueue_\w+", rule["expr"]))
        assert used, rule
        assert used <= set(METRICS), rule
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert rule["labels"]["severity"] in ("page", "ticket")
    assert columns("alert") == [rule["alert"] for rule in RULES]


def test_prometheus_takes_the_rules_and_they_fire_when_they_should(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    file = tmp_path / "pgqueue.rules.yml"
    file.write_text(FILES["pgqueue.rules.yml"])
    subprocess.run([promtool, "check", "rules", file], check=True)
    shutil.copy(Path(__file__).with_name("alerts.yml"), tmp_path)
    subprocess.run([promtool, "test", "rules", "alerts.yml"], cwd=tmp_path, check=True)
