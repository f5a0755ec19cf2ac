"""What a test expects of a job, and what is said where there is none like it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import ANY

import pytest

from pgqueue import App, ConfigError, JobState
from pgqueue.admin.info import JobInfo
from pgqueue.testing.expect import Expected
from pgqueue.testing.report import not_as_expected

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
app = App("postgresql://nobody@localhost:1/none")


@dataclasses.dataclass
class Address:
    street: str
    since: datetime


@app.task
def welcome(email: str, address: Address | None = None, **rest: int) -> None:
    pass


@app.task
def invoice(order_id: int) -> None:
    pass


def job(job_id: int = 1, task: str = "welcome", **changed: Any) -> JobInfo:
    values: dict[str, Any] = dict.fromkeys(field for field in JobInfo.__struct_fields__)
    values |= {"id": job_id, "state": JobState.PENDING, "task": task, "queue": "default"}
    values |= {"args": {"email": "a@b.c"}, "priority": 5, "max_attempts": 25, "attempt": 0}
    values |= {"run_at": NOON, "enqueued_at": NOON, "tags": (), "errors": (), "crash_count": 0}
    return JobInfo(**{**values, **changed})


def wanted(task: Any = None, **asked: Any) -> Expected:
    return Expected(None if task is None else task.name, task, asked)


ADDRESS = {"street": "High", "since": "2026-01-02T12:00:00Z"}


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (wanted(), job()),
        (wanted(welcome), job()),
        (wanted(welcome, args={"email": "a@b.c"}), job()),
        (wanted(welcome, args={"email": ANY}), job()),
        (
            wanted(welcome, args={"address": Address("High", NOON)}),
            job(args={"email": "a@b.c", "address": ADDRESS}),
        ),
        (wanted(welcome, args={"address": ADDRESS}), job(args={"email": "", "address": ADDRESS})),
        (wanted(queue="mail", priority=1), job(queue="mail", priority=1)),
        (wanted(delay=3600), job(run_at=NOON + timedelta(seconds=3601))),
        (wanted(delay=timedelta(hours=1)), job(run_at=NOON + timedelta(hours=1))),
        (wanted(run_at=NOON, within=1), job(run_at=NOON + timedelta(seconds=1))),
        (wanted(tags=["b"]), job(tags=("a", "b"))),
        (wanted(metadata={"a": 1}), job(metadata={"a": 1, "b": 2})),
        (wanted(unique_key="k", max_attempts=3), job(unique_key="k", max_attempts=3)),
    ],
)
def test_a_job_is_as_expected(expected: Expected, found: JobInfo) -> None:
    assert expected.differences(found) == []


@pytest.mark.parametrize(
    ("expected", "found", "what"),
    [
        (wanted(invoice), job(), ["task"]),
        (wanted(welcome, args={"email": "x"}), job(), ["args.email"]),
        (wanted(args={"other": None}), job(), ["args.other"]),
        (wanted(args={"n": True}), job(args={"n": 2}), ["args.n"]),
        (wanted(queue="mail", priority=1), job(), ["queue", "priority"]),
        (wanted(delay=3600), job(), ["delay"]),
        (wanted(run_at=NOON, within=1), job(run_at=NOON + timedelta(seconds=2)), ["run_at"]),
        (wanted(run_at=NOON), job(run_at=None), ["run_at"]),
        (wanted(tags=["c"]), job(tags=("a",)), ["tags"]),
        (wanted(metadata={"a": 1}), job(), ["metadata.a"]),
    ],
)
def test_a_job_is_not_as_expected(expected: Expected, found: JobInfo, what: list[str]) -> None:
    assert [one.what for one in expected.differences(found)] == what


@pytest.mark.parametrize(
    ("task", "asked", "said"),
    [
        (None, {"quue": "mail"}, 'nothing of a job is called "quue"; did you mean "queue"'),
        (invoice, {"args": {"order": 1}}, 'takes no argument "order"; did you mean "order_id"'),
        (invoice, {"args": [1]}, r"args must be a mapping of names, got \[1\]"),
        (None, {"count": -1}, "count must be a whole number from 0, got -1"),
        (None, {"delay": 1, "run_at": NOON}, "give delay or run_at, not both"),
    ],
)
def test_wrong_questions_are_refused(task: Any, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        wanted(task, **asked)


def test_the_nearest_jobs_are_shown_with_what_differs() -> None:
    jobs = [job(1, "invoice", args={"order_id": 7}), job(2, queue="low"), job(3)]
    said = not_as_expected(wanted(welcome, args={"email": "x@y.z"}, queue="mail"), jobs)
    assert said is not None
    assert said.splitlines() == [
        "a job of task \"welcome\" with args={'email': 'x@y.z'}, queue='mail': none is enqueued; "
        "the nearest of 3 jobs:",
        "  job 2 (pending): welcome {'email': 'a@b.c'}, queue \"low\"",
        "    - queue: 'mail'",
        "    + queue: 'low'",
        "    - args.email: 'x@y.z'",
        "    + args.email: 'a@b.c'",
        "  job 3 (pending): welcome {'email': 'a@b.c'}, queue \"default\"",
        "    - queue: 'mail'",
        "    + queue: 'default'",
        "    - args.email: 'x@y.z'",
        "    + args.email: 'a@b.c'",
        "  job 1 (pending): invoice {'order_id': 7}, queue \"default\"",
        '    - task: "welcome"',
        '    + task: "invoice"',
    ]


def test_jobs_are_counted() -> None:
    two = [job(1), job(2)]
    assert not_as_expected(wanted(welcome, count=2), two) is None
    assert not_as_expected(wanted(welcome), two) is None
    assert "expected 3, and 2 are enqueued" in (not_as_expected(wanted(count=3), two) or "")
    assert "expected none, and 2 are enqueued" in (not_as_expected(wanted(), two, none=True) or "")
    assert not_as_expected(wanted(invoice), two, none=True) is None
    assert not_as_expected(wanted(), []) == "a job of any task: none is enqueued; no job at all is"
