"""The promises of the caller's transaction, on every connection that can be brought."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest

from pgqueue.db.migrate import migrate
from pgqueue.db.statements import statement
from pgqueue.drivers.faults import sqlstate
from pgqueue.errors import PgQueueError, SchemaError
from tests.drivers import async_callers, blocking_callers, plain_callers
from tests.drivers.caller import CALLERS, Caller
from tests.drivers.observer import BAD, JOB, ONE, SQL, Observer, enqueue_in

assert async_callers
assert blocking_callers
assert plain_callers

PLAIN = ("psql", "trigger")
DRIVEN = [name for name in CALLERS if name not in PLAIN]

ODD_SCHEMA = """o'dd "q" 100% :x::y $1 %s \\:z é"""


class Undo(Exception):
    """Raised by a test to roll back."""


@pytest.fixture(params=CALLERS)
def anyone(dsn: str, request: pytest.FixtureRequest) -> Iterator[Caller]:
    """Every caller."""
    with CALLERS[request.param](dsn) as caller:
        yield caller


@pytest.fixture(params=DRIVEN)
def caller(dsn: str, request: pytest.FixtureRequest) -> Iterator[Caller]:
    """Every caller that comes through a driver."""
    with CALLERS[request.param](dsn) as caller:
        yield caller


def run_all(caller: Caller, texts: Sequence[str], sql: str = SQL) -> list[list[tuple[Any, ...]]]:
    assert caller.run_all
    return caller.run_all(sql, texts)


def pid_of(caller: Caller) -> int:
    return int(caller.execute("select pg_backend_pid()")[0][0])


@pytest.mark.past_bug(127)
def test_rollback_leaves_no_job(anyone: Caller, observer: Observer) -> None:
    with suppress(Undo), anyone.transaction():
        anyone.run(SQL, ONE if anyone.run_all else JOB)
        raise Undo
    assert observer.jobs() == []


@pytest.mark.past_bug(127)
def test_commit_leaves_one_job(anyone: Caller, observer: Observer) -> None:
    with anyone.transaction():
        rows = anyone.run(SQL, ONE if anyone.run_all else JOB)
    assert [row[0] for row in observer.jobs()] == [row[0] for row in rows]
    assert len(rows) == 1


@pytest.mark.past_bug(127)
def test_nobody_sees_the_job_before_the_commit(anyone: Caller, observer: Observer) -> None:
    with anyone.transaction():
        anyone.run(SQL, ONE if anyone.run_all else JOB)
        assert observer.jobs() == []
    assert len(observer.jobs()) == 1


@pytest.mark.past_bug(127)
def test_rolled_back_savepoint_leaves_no_job(anyone: Caller, observer: Observer) -> None:
    text = ONE if anyone.run_all else JOB
    with anyone.transaction():
        before = anyone.run(SQL, text)
        with suppress(Undo), anyone.savepoint():
            anyone.run(SQL, text)
            raise Undo
        after = anyone.run(SQL, text)
    assert [row[0] for row in observer.jobs()] == [before[0][0], after[0][0]]


@pytest.mark.past_bug(127)
def test_the_transaction_is_the_same_after_the_call(anyone: Caller, observer: Observer) -> None:
    with anyone.transaction():
        now = anyone.execute("select pg_current_xact_id(), pg_backend_pid()")
        pid = int(now[0][1])
        assert observer.state(pid) == "idle in transaction"
        anyone.run(SQL, ONE if anyone.run_all else JOB)
        assert observer.state(pid) == "idle in transaction"
        assert anyone.execute("select pg_current_xact_id(), pg_backend_pid()") == now
    assert observer.state(pid) == "idle"


@pytest.mark.past_bug(127)
def test_outside_a_transaction_only_autocommit_commits(anyone: Caller, observer: Observer) -> None:
    pid = pid_of(anyone)
    anyone.run(SQL, ONE if anyone.run_all else JOB)
    if anyone.autocommit:
        assert observer.state(pid) == "idle"
        assert len(observer.jobs()) == 1
    else:
        assert observer.state(pid) == "idle in transaction"
        assert observer.jobs() == []
    assert pid_of(anyone) == pid


@pytest.mark.past_bug(128)
def test_no_session_is_added(anyone: Caller, observer: Observer) -> None:
    pid = pid_of(anyone)
    before = observer.sessions()
    for _ in range(20):
        with anyone.transaction():
            anyone.run(SQL, ONE if anyone.run_all else JOB)
    assert observer.sessions() <= before
    assert pid_of(anyone) == pid


def test_answer_is_plain_tuples(anyone: Caller) -> None:
    with anyone.transaction():
        rows = anyone.run(SQL, JOB if anyone.run_all is None else ONE)
    assert type(rows) is list
    assert [type(row) for row in rows] == [tuple]
    assert [type(value) for value in rows[0]] == [int, bool, str]
    assert rows[0][1:] == (False, "pending")


@pytest.mark.past_bug(68)
def test_answers_in_order_and_tells_duplicates(caller: Caller) -> None:
    docs = [
        {"task": "t", "unique_key": "k"},
        {"task": "t"},
        {"task": "t", "delay": 60},
        {"task": "t", "unique_key": "k"},
    ]
    with caller.transaction():
        rows = caller.run(SQL, json.dumps(docs))
        assert [row[1:] for row in rows] == [
            (False, "pending"),
            (False, "pending"),
            (False, "scheduled"),
            (True, "pending"),
        ]
        assert rows[3][0] == rows[0][0]


def test_a_job_that_waits_is_replaced_and_the_caller_told(
    caller: Caller, observer: Observer
) -> None:
    docs = [{"task": "t", "unique_key": "k", "unique": {"wait": 60}, "args": {"n": n}}
            for n in range(2)]  # fmt: skip
    with caller.transaction():
        first, second = caller.run(statement("enqueue_unique", "pgqueue"), json.dumps(docs))
    assert tuple(first[1:]) == (False, "scheduled", False)
    assert tuple(second) == (first[0], True, "scheduled", True)
    assert [row[1] for row in observer.jobs()] == [{"n": 1}]


def test_any_text_arrives_as_it_was(caller: Caller, observer: Observer) -> None:
    args = {"s": "100% %s %(x)s :x ::y $1 ' \" \\ \\: é ☃ 𐍈 \n\t", "%": "?" * 200_000}
    with caller.transaction():
        caller.run(SQL, json.dumps([{"task": "t", "args": args}], ensure_ascii=False))
    assert [row[1] for row in observer.jobs()] == [args]


def test_schema_with_any_name(caller: Caller, dsn: str, observer: Observer) -> None:
    asyncio.run(migrate(dsn, ODD_SCHEMA))
    with caller.transaction():
        rows = caller.run(enqueue_in(ODD_SCHEMA), ONE)
    assert [row[0] for row in observer.jobs(ODD_SCHEMA)] == [rows[0][0]]
    assert observer.jobs() == []


@pytest.mark.parametrize(
    ("sql", "state", "remedy"),
    [
        (enqueue_in("not:th%re"), "3F000", "pgqueue migrate --schema 'not:th%re'"),
        (SQL.replace("checked", "later"), "42883", "pgqueue migrate"),
    ],
)
def test_missing_schema_says_migrate_and_leaves_the_rest_to_the_caller(
    caller: Caller, observer: Observer, sql: str, state: str, remedy: str
) -> None:
    with suppress(Undo), caller.transaction():
        pid = pid_of(caller)
        with pytest.raises(SchemaError) as caught:
            caller.run(sql, ONE)
        assert observer.state(pid) == "idle in transaction (aborted)"
        raise Undo
    assert str(caught.value).endswith(f"; on the database of this connection, run: {remedy}")
    assert caught.value.__cause__ is not None
    assert sqlstate(caught.value.__cause__) == state
    assert observer.state(pid) == "idle"
    with caller.transaction():
        caller.run(SQL, ONE)
    assert len(observer.jobs()) == 1


def test_error_of_an_aborted_transaction_is_the_drivers(caller: Caller) -> None:
    failed: list[BaseException] = []
    with suppress(Undo), caller.transaction():
        with pytest.raises(Exception, match="division by zero"):
            caller.execute("select 1/0")
        try:
            caller.run(SQL, ONE)
        except Exception as exc:
            failed.append(exc)
        raise Undo
    assert not isinstance(failed[0], PgQueueError)
    assert sqlstate(failed[0]) == "25P02"


def test_error_of_a_lost_connection_is_the_drivers(caller: Caller, observer: Observer) -> None:
    failed: list[BaseException] = []
    with suppress(Exception), caller.transaction():
        observer.kill(pid_of(caller))
        try:
            caller.run(SQL, ONE)
        except Exception as exc:
            failed.append(exc)
            raise
    assert failed
    assert not isinstance(failed[0], PgQueueError)
    assert observer.jobs() == []


def test_many_commit_together(caller: Caller, observer: Observer) -> None:
    with caller.transaction():
        pid = pid_of(caller)
        answers = run_all(caller, [ONE, f"[{JOB}, {JOB}]", ONE])
        assert observer.state(pid) == "idle in transaction"
        assert observer.jobs() == []
    assert [len(rows) for rows in answers] == [1, 2, 1]
    assert [row[0] for row in observer.jobs()] == [row[0] for rows in answers for row in rows]


def test_many_roll_back_together(caller: Caller, observer: Observer) -> None:
    with suppress(Undo), caller.transaction():
        run_all(caller, [ONE, ONE])
        raise Undo
    assert observer.jobs() == []


def test_many_with_a_bad_one_leave_the_transaction_to_the_caller(
    caller: Caller, observer: Observer
) -> None:
    failed: list[BaseException] = []
    with suppress(Undo), caller.transaction():
        pid = pid_of(caller)
        try:
            run_all(caller, [ONE, BAD, ONE])
        except Exception as exc:
            failed.append(exc)
        assert observer.state(pid) == "idle in transaction (aborted)"
        raise Undo
    assert sqlstate(failed[0]) == "23502"
    assert observer.jobs() == []


def test_many_outside_a_transaction_are_all_or_nothing(caller: Caller, observer: Observer) -> None:
    pid = pid_of(caller)
    with pytest.raises(Exception, match="not-null") as caught:
        run_all(caller, [ONE, BAD, ONE])
    assert sqlstate(caught.value) == "23502"
    after = "idle" if caller.autocommit else "idle in transaction (aborted)"
    assert observer.state(pid) == after
    assert observer.jobs() == []


def test_many_outside_a_transaction_commit_in_autocommit_only(
    caller: Caller, observer: Observer
) -> None:
    pid = pid_of(caller)
    answers = run_all(caller, [ONE, ONE])
    ids = [rows[0][0] for rows in answers]
    assert observer.state(pid) == ("idle" if caller.autocommit else "idle in transaction")
    assert [row[0] for row in observer.jobs()] == (ids if caller.autocommit else [])


def test_none_is_nothing(caller: Caller) -> None:
    assert run_all(caller, []) == []
