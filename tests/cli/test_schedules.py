"""``pgqueue schedules``."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from click.testing import Result

import pgqueue
from tests.cli.conftest import Run
from tests.cli.test_look import register


def said(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (pgqueue.Unique(), "has its unique key already (pending); none was made"),
        (pgqueue.Replace("args"), "waited with its unique key, and was changed (pending)"),
    ],
    ids=["unique", "replace"],
)
def test_a_job_of_now_that_was_there(
    on: Run, client: pgqueue.Client, mode: pgqueue.Unique | pgqueue.Replace, words: str
) -> None:
    client.schedules.set("acme", task="report", cron="@daily", unique=mode, unique_key="k")
    assert "is pending" in said(on("schedules", "run", "acme"))
    assert words in said(on("schedules", "run", "acme"))


def test_a_schedule_from_its_making_to_its_end(on: Run, dsn: str) -> None:
    assert "no schedules" in on("schedules", "list").stderr
    made = on(
        "schedules", "set", "acme", "--task", "report", "--cron", "0 8 * * MON-FRI", "--zone",
        "America/New_York", "--args", '{"tenant": "acme"}', "--actor", "ann", "--reason", "new",
    )  # fmt: skip
    assert said(made).startswith('schedule "acme" is made; its next slot is 2')
    assert "is changed" in said(on("schedules", "set", "acme", "--jitter", "5m"))
    table = said(on("schedules", "list"))
    for word in ("acme", "active", "report", "0 8 * * MON-FRI", "America/New_York"):
        assert word in table
    (info,) = json.loads(said(on("schedules", "list", "--json")))
    assert info["settings"]["jitter"] == 300
    slots = json.loads(said(on("schedules", "preview", "acme", "-n", 3, "--json")))
    assert [slot["wall"][11:16] for slot in slots] == ["08:00"] * 3
    assert " 08:00:00-0" in said(on("schedules", "preview", "acme"))
    assert "is paused" in said(on("schedules", "pause", "acme"))
    assert "was paused already" in said(on("schedules", "pause", "acme"))
    assert "paused" in said(on("schedules", "list"))
    assert "is resumed" in said(on("schedules", "resume", "acme"))
    assert "was not paused" in said(on("schedules", "resume", "acme"))
    assert "is pending" in said(on("schedules", "run", "acme"))
    assert "has not fired yet" in on("schedules", "history", "acme").stderr
    assert "is removed" in said(on("schedules", "remove", "acme"))
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "select actor, via, action, reason from pgqueue.audit order by id"
        ).fetchall()
    assert rows[0] == ("ann", "cli", "schedule.set", "new")
    assert [row[2].removeprefix("schedule.") for row in rows] == [
        "set", "set", "pause", "resume", "run", "remove",
    ]  # fmt: skip


def test_history_says_what_became_of_each_slot(on: Run, dsn: str) -> None:
    said(on("schedules", "set", "a", "--task", "t", "--every", "1h"))
    fires = [
        {"slot": "2027-01-01T05:00:00+00:00", "job": None, "duplicate": None},
        {"slot": "2027-01-01T04:00:00+00:00", "job": 7, "duplicate": True},
        {"slot": "2027-01-01T03:00:00+00:00", "job": 7, "duplicate": False},
        {"slot": "2027-01-01T01:00:00+00:00", "missed": 2},
    ]
    for fire in fires:
        fire["at"] = "2027-01-01T05:00:00.5+00:00"
    with psycopg.connect(dsn) as connection:
        connection.execute("update pgqueue.schedule set fires = %s", [json.dumps(fires)])
    shown = said(on("schedules", "history", "a")).splitlines()[2:]
    for line, what in zip(
        shown,
        ("wanted no job", "job 7 had its unique key", "job 7", "2 slots from here on"),
        strict=True,
    ):
        assert what in line
    assert len(json.loads(said(on("schedules", "history", "a", "--json")))) == 4


APP = """
import pgqueue
app = pgqueue.App()

@app.task()
async def report(day: str = "") -> None: ...

app.schedule("nightly", report, cron="30 2 * * *", zone="Europe/Berlin",
             args=lambda slot: {"day": str(slot.date())})

async def main():
    async with pgqueue.Worker(app):
        pass
"""


def test_both_values_are_shown_and_an_app_brings_its_code(
    on: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dsn: str
) -> None:
    (tmp_path / "nights.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PGQUEUE_DSN", dsn)
    monkeypatch.syspath_prepend(str(tmp_path))
    import asyncio
    import importlib

    asyncio.run(importlib.import_module("nights").main())
    assert "is changed" in said(on("schedules", "set", "nightly", "--cron", "0 5 * * *"))
    shown = said(on("schedules", "list"))
    assert '"nightly": when is cron 0 5 * * *, in code cron 30 2 * * *' in shown
    without = on("schedules", "run", "nightly")
    assert (without.exit_code, "come from code" in without.output) == (2, True)
    assert "is pending" in said(on("--app", "nights:app", "schedules", "run", "nightly"))
    assert "is as its code declares it" in said(on("schedules", "reset", "nightly"))
    assert "already" in said(on("schedules", "reset", "nightly"))
    assert "in code" not in said(on("schedules", "list"))


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["set", "a"], "nothing is given"),
        (["set", "a", "--task", "t"], "needs cron or every"),
        (["set", "a", "--task", "t", "--cron", "*/70 * * * *"], "step"),
        (["set", "a", "--task", "t", "--every", "0.2"], "every must be"),
        (["set", "a", "--task", "t", "--every", "5m", "--anchor", "noon"], "is no moment"),
        (["set", "a", "--task", "t", "--every", "5m", "--misfire", "al"], "policy"),
        (["pause", "b"], "no schedule is named"),
        (["preview", "b"], "no schedule is named"),
        (["paus", "b"], "pause"),
    ],
)
def test_wrong_input_is_refused(on: Run, args: list[str], reason: str) -> None:
    found = on("schedules", *args)
    assert found.exit_code == 2
    assert reason in found.output


def test_status_and_health_name_the_schedules_that_stand_still(on: Run, dsn: str) -> None:
    said(on("schedules", "set", "nightly", "--task", "t", "--every", "1d"))
    said(on("schedules", "set", "gone", "--task", "t", "--every", "1d"))
    assert "not fired" not in said(on("status"))
    with psycopg.connect(dsn, autocommit=True) as db:
        register(db, 1, ["default"], [])
        late = (
            "update pgqueue.schedule set next_at = now() - interval '90 s' where name = 'nightly'"
        )
        db.execute(late)
        db.execute("update pgqueue.schedule set orphaned_at = now() where name = 'gone'")
    lines = (
        'schedule "nightly": due for 9',
        'schedule "gone": in the code of no worker; pgqueue schedules remove ends it',
    )
    judged = on("health")
    assert judged.exit_code == 1
    shown = said(on("status"))
    assert all(line in text for line in lines for text in (judged.stdout, shown))
    said(on("schedules", "pause", "nightly"))
    said(on("schedules", "remove", "gone"))
    assert on("health").exit_code == 0
