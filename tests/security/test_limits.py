"""S12: a row of any size or depth costs a bounded time, and touches no other job."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import psycopg
import pytest
from click.testing import CliRunner
from psycopg import errors

from pgqueue import App, Client, ConfigError, DatabaseError, PayloadError
from pgqueue.cli.root import cli
from pgqueue.job import NewJob
from pgqueue.payload import MAX_BYTES, MAX_DEPTH, encode_untyped
from tests.harness.waiting import eventually
from tests.security.conftest import Logins
from tests.worker.support import Eyes, working

# The budget of one value in seconds of the processor, so that a busy machine changes nothing.
# What is refused takes some hundredths of it; read to its end, it would take minutes.
BUDGET_SECONDS = 5.0


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


LARGE: dict[str, Callable[[], Any]] = {
    "100 MB of text": lambda: {"x": "x" * 100_000_000},
    "a little over the limit": lambda: {"x": "x" * MAX_BYTES},
    "100,000 deep": lambda: {"x": deep(100_000)},
    "too deep by one": lambda: {"x": deep(MAX_DEPTH + 1)},
    "many keys": lambda: {str(n): n for n in range(200_000)},
    "many small numbers": lambda: {"x": [1] * 1_000_000},
    "a number of 100,000 digits": lambda: {"x": 10**100_000},
    "a long key": lambda: {"k" * 2_000_000: 1},
}


@pytest.mark.rule("S12")
@pytest.mark.parametrize("name", LARGE)
def test_the_client_refuses_what_is_too_much(name: str) -> None:
    value = LARGE[name]()
    began = time.process_time()
    with pytest.raises(PayloadError) as raised:
        encode_untyped(value)
    assert time.process_time() - began < BUDGET_SECONDS
    assert len(str(raised.value)) < 1000


OPTIONS: dict[str, dict[str, Any]] = {
    "a million tags": {"tags": ["t"] * 1_000_000},
    "endless tags": {"tags": iter(lambda: "t", None)},
    "a tag of 100 MB": {"tags": ["t" * 100_000_000]},
    "a key of 100 MB": {"unique_key": "k" * 100_000_000},
    "a queue of 100 MB": {"queue": "q" * 100_000_000},
    "metadata of 100 MB": {"metadata": {"m": "m" * 100_000_000}},
    "deep metadata": {"metadata": {"m": deep(100_000)}},
    "a delay of 10**400": {"delay": 10**400},
    "10**400 attempts": {"max_attempts": 10**400},
}


@pytest.mark.rule("S12")
@pytest.mark.parametrize("name", OPTIONS)
def test_so_it_does_with_options(name: str) -> None:
    client = Client("postgresql://me@127.0.0.1:1/x")
    began = time.process_time()
    with pytest.raises((ConfigError, PayloadError)) as raised:
        client.job("t", **OPTIONS[name])
    assert time.process_time() - began < BUDGET_SECONDS
    assert len(str(raised.value)) < 1000


HUGE = "args of 200 MB"
IN_SQL = {
    "args of 9 MB": "jsonb_build_object('x', repeat('x', 9000000))",
    HUGE: "jsonb_build_object('x', repeat('x', 200000000))",
    "many numbers": "jsonb_build_object('x', array_fill(1, array[1000000]))",
}
OTHERS = {
    "metadata": ("metadata", "jsonb_build_object('x', repeat('x', 600000))"),
    "tags": ("tags", "(select array_agg('tag' || n) from generate_series(1, 100000) as n)"),
    "queue": ("queue", "repeat('q', 101)"),
    "task": ("task", "repeat('q', 201)"),
    "unique_key": ("unique_key", "repeat('q', 501)"),
}


@pytest.mark.rule("S12")
@pytest.mark.parametrize(
    "name",
    [
        *(n for n in IN_SQL if n != HUGE),
        pytest.param(HUGE, marks=pytest.mark.long),
        *OTHERS,
    ],
)
def test_the_database_refuses_it_from_whoever_comes_past_the_client(
    root: psycopg.Connection, name: str
) -> None:
    column, value = OTHERS.get(name) or ("args", IN_SQL[name])
    row = f"(task, {column}) values ('t', {value})"
    if column == "task":
        row = f"(task) values ({value})"
    for statement in (
        f"insert into pgqueue.job {row}",
        f"select * from pgqueue.enqueue(jsonb_build_object('task', 't', '{column}', {value}))",
        f"select * from pgqueue.enqueue_checked(jsonb_build_array(jsonb_build_object("
        f"'task', 't', '{column}', {value})))",
    ):
        with pytest.raises((errors.CheckViolation, errors.InvalidParameterValue)) as raised:
            root.execute(statement.encode())
        # What is refused is not quoted at length.
        assert len(str(raised.value)) < 2000
    assert root.execute("select count(*) from pgqueue.job").fetchone() == (0,)


@pytest.mark.rule("S12")
def test_what_the_client_takes_the_database_takes(dsn: str) -> None:
    """JSON as text grows on its way to jsonb; the database's limit leaves room for that."""
    values: list[Any] = [
        {"x": "x" * (MAX_BYTES - 20)},
        {"x": [1] * ((MAX_BYTES - 20) // 2)},
        {"x": [[]] * ((MAX_BYTES - 20) // 3)},
        {str(n): 1 for n in range(90_000)},
        {"x": deep(MAX_DEPTH - 1)},
    ]
    with Client(dsn) as client:
        for value in values:
            client.enqueue("t", value)
        with psycopg.connect(dsn, autocommit=True) as root:
            for value in values:
                root.execute(
                    "select * from pgqueue.enqueue(%s)",
                    (json.dumps({"task": "t", "args": value}),),
                )
            deeper = {"task": "t", "args": {"x": deep(MAX_DEPTH + 3)}}
            with pytest.raises(errors.InvalidParameterValue, match="nested more than 100 deep"):
                root.execute("select * from pgqueue.enqueue(%s)", (json.dumps(deeper),))
        assert len(client.list_jobs()) == 2 * len(values)


POISON = {
    "deep": "jsonb_build_object('value', repeat('[', 3000) || repeat(']', 3000))",
    "nested": "('{\"value\": ' || repeat('[', 3000) || repeat(']', 3000) || '}')::jsonb",
    "huge integer": "('{\"value\": ' || repeat('9', 100000) || '}')::jsonb",
    "huge exponent": "'{\"value\": 1e10000}'::jsonb",
    "long fraction": "('{\"value\": 0.' || repeat('1', 16000) || '}')::jsonb",
    "many keys": "(select jsonb_object_agg('k' || n, n) from generate_series(1, 100000) as n)",
}


@pytest.mark.rule("S12")
async def test_a_worker_gets_past_rows_that_no_client_would_make(dsn: str, eyes: Eyes) -> None:
    app = App(dsn)

    @app.task(max_attempts=1)
    async def takes(value: Any = None) -> None: ...

    for value in POISON.values():
        await eyes.sql(
            "insert into pgqueue.job (task, position, max_attempts, args) select 'takes',"
            f" nextval('pgqueue.position_seq'), 1, {value}"
        )
    good = [(await app.aenqueue("takes", {"value": n})).id for n in range(5)]
    began = time.process_time()
    async with working(app):
        for job in good:
            await eyes.reaches(job, "completed")

        async def none_is_left() -> bool:
            """Those that do not fit wait for another worker."""
            left = "select count(*) from pgqueue.job where position is not null or errors is null"
            return await eyes.value(left) == 0

        await eventually(none_is_left)
    assert time.process_time() - began < BUDGET_SECONDS * (len(POISON) + len(good))
    await app.aclose()
    for command in ("jobs list", "jobs list --json", "dead list", "status"):
        began = time.process_time()
        line = ["--dsn", dsn, *command.split()]
        result = await asyncio.to_thread(CliRunner().invoke, cli, line)
        assert result.exit_code == 0, result.output[:500]
        assert time.process_time() - began < 5 * BUDGET_SECONDS


@pytest.mark.rule("S12")
async def test_short_numbers_that_are_long_when_printed_are_refused_at_the_door(
    dsn: str, eyes: Eyes
) -> None:
    """No server could send such a row to a worker: at the head of a queue it would stop it."""
    numbers = "array_to_string(array_fill('1e131071'::text, array[$1::int]), ',')"
    insert = (
        "insert into pgqueue.job (task, position, {0})"
        " select 't', nextval('pgqueue.position_seq'), ('{{\"a\":[' || {1} || ']}}')::jsonb"
    )
    enqueue = 'select pgqueue.enqueue((\'{{"task":"t","{0}":{{"a":[\' || {1} || \']}}}}\')::jsonb)'
    for statement in (insert, enqueue):
        for column in ("args", "metadata"):
            for count in (200, 1_000):
                with pytest.raises(asyncpg.CheckViolationError):
                    await eyes.sql(statement.format(column, numbers), count)
    assert await eyes.value("select count(*) from pgqueue.job") == 0


ODD_MOMENTS = (
    "-infinity",
    "0044-03-15 BC",
    "4713-01-01 BC",
    "infinity",
    "200000-01-01",
)


@pytest.mark.rule("S12")
async def test_odd_moments_stop_no_worker(dsn: str, eyes: Eyes) -> None:
    """Times that Python has no value for."""
    app = App(dsn)

    @app.task
    async def nothing() -> None: ...

    for moment in ODD_MOMENTS:
        await eyes.sql(
            f"insert into pgqueue.job (task, run_at, enqueued_at) values ('nothing', '{moment}',"
            f" '{moment}')"
        )
        with pytest.raises(asyncpg.PostgresError):
            await eyes.sql(
                "select pgqueue.enqueue(jsonb_build_object('task', 't', 'run_at', $1::text))",
                moment,
            )
    async with working(app):
        last = (await nothing.aenqueue()).id
        await eyes.reaches(last, "completed")
    await app.aclose()


@pytest.mark.rule("S12")
async def test_a_producer_enqueues_no_odd_moment(logins: Logins) -> None:
    """Past the checks of the client as well, with a key and without; nor by a delay."""
    keys: tuple[dict[str, str], ...] = ({}, {"unique_key": "k"})
    late: list[dict[str, Any]] = [{"run_at": moment} for moment in ODD_MOMENTS]
    late += [{"delay": 1e12}, {"delay": -1e11}]
    async with Client(logins.dsn_of("producer")) as producer:
        for options in late:
            for key in keys:
                odd = NewJob("t", "{}", {"queue": "default", **options, **key})
                with pytest.raises(DatabaseError, match=r"job_run_at|out of range"):
                    await producer.aenqueue_many([odd])
        await producer.aenqueue("t", delay=100 * 365.25 * 86400.0)
    async with Client(logins.dsn_of("operator")) as operator:
        assert len(await operator.alist_jobs()) == 1


@pytest.mark.rule("S12")
async def test_a_row_of_any_moment_is_listed(logins: Logins, root: psycopg.Connection) -> None:
    """Written by who may write the tables: in every state, by every list."""
    moments = ", ".join(f"('{moment}'::timestamptz)" for moment in ODD_MOMENTS)
    columns = (
        "id, run_at, enqueued_at, finished_at, queue, task, args, attempt, max_attempts, priority,"
        " crash_count"
    )
    values = "1000 + row_number() over (), m, m, m, 'default', 't', '{}', 1, 1, 5, 0"
    root.execute(
        f"insert into pgqueue.job (run_at, enqueued_at, task) select m, m, 't'"
        f" from (values {moments}) as v (m)".encode()
    )
    root.execute(
        f"insert into pgqueue.job (run_at, enqueued_at, claimed_at, task, position, worker_id)"
        f" select m, m, m, 't', 1, 1 from (values {moments}) as v (m)".encode()
    )
    root.execute(
        f"insert into pgqueue.dead ({columns}, reason) select {values}, 'no'"
        f" from (values {moments}) as v (m)".encode()
    )
    count = len(ODD_MOMENTS)
    async with Client(logins.dsn_of("operator")) as operator:
        assert len(await operator.alist_jobs()) == 3 * count
        # One of infinity is blocked.
        assert len(await operator.alist_jobs(state="scheduled")) == count - 1
        assert len(await operator.alist_jobs(state="running")) == count
        assert len(await operator.alist_dead()) == count
        assert [one.jobs for one in await operator.acount_dead()] == [count]
        (blocked,) = await operator.alist_jobs(state="blocked")
        assert blocked.run_at is None
        for one in await operator.alist_jobs():
            assert (await operator.aget_job(one.id)) == one
        assert (await operator.astatus()).queues
    async with Client(logins.dsn_of("viewer")) as viewer:
        assert [one.jobs for one in await viewer.acount_dead()] == [count]
