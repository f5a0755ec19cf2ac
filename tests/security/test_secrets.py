"""S9, S19: what is secret in arguments and in the dsn shows nowhere that somebody else reads."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import json
import logging
import os
import signal
import subprocess
import sys
import traceback
import uuid
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit, urlunsplit

import msgspec
import psutil
import pydantic
import pytest

from pgqueue import App, Client, Discard, PayloadError, PgQueueError, current_job
from pgqueue.db.faults import as_ours
from pgqueue.payload import Payload
from tests.harness.waiting import eventually, wait_until
from tests.past.test_claim import lose
from tests.worker.support import Eyes, working

SECRET = "c4nary-hunter2"
PASSWORD = "p4ss-c4nary"


def with_password(dsn: str) -> str:
    """The same place; the server asks for no password, and is given one all the same."""
    parts = urlsplit(dsn)
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}:{PASSWORD}@{host}"))


@pytest.mark.rule("S9")
async def test_no_argument_is_logged_above_debug(
    dsn: str, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever becomes of a job: done, failed, of wrong arguments, unknown, cancelled, rescued."""
    caplog.set_level(logging.INFO)
    app = App(with_password(dsn))
    heard: list[str] = []
    begun = asyncio.Event()

    @app.task
    async def fine(token: str) -> None: ...

    @app.task(max_attempts=2, retry=lambda attempt, error: 0.05)
    async def fails(token: str) -> None:
        raise ValueError("it failed")

    @app.task
    def fails_in_a_thread(token: str) -> None:
        raise Discard("no")

    @app.task(max_attempts=1)
    async def counts(number: int) -> None: ...

    @app.task
    async def forever(token: str) -> None:
        begun.set()
        await asyncio.sleep(3600)

    @app.task
    async def transacts(token: str) -> None:
        job = current_job()
        async with job.transaction():
            await fine.aenqueue(token)

    names = ("fine", "fails", "fails_in_a_thread", "transacts")
    await app.aenqueue_many([app.job(name, {"token": SECRET}) for name in names])
    channel = await eyes.value("select pgqueue.channel()")

    def hear(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        heard.append(str(payload))

    await eyes.connection.add_listener(channel, hear)
    client = Client(with_password(dsn))
    for args in (
        {"number": SECRET},
        {"number": 1, "token": SECRET},
        {"number": {"deep": [SECRET]}},
        {},
    ):
        await client.aenqueue("counts", args, max_attempts=1, metadata={"m": SECRET})
    await client.aenqueue("nobody knows", {"token": SECRET})
    async with working(app, summary_interval=0.2):
        await asyncio.sleep(0)
        long = (await forever.aenqueue(SECRET)).id
        await asyncio.wait_for(begun.wait(), 60)
        sessions = [name for name, _ in await eyes.sessions("%")]
        await app.acancel(long)
        await eyes.settled(completed=3, dead=2, scheduled=4, cancelled=1, pending=1)
        await eyes.terminate("claim")
        await eyes.terminate("finish")
        await fine.aenqueue(SECRET)
        await eyes.settled(completed=4, dead=2, scheduled=4, cancelled=1, pending=1)
    await client.aclose()
    await app.aclose()
    lines = [caplog.handler.format(record) for record in caplog.records]
    lines += [str(vars(record)) for record in caplog.records]
    assert lines
    shown = "\n".join([*lines, *sessions, *heard, repr(app), repr(client), repr(client.pool)])
    assert SECRET not in shown
    assert PASSWORD not in shown
    # What a failed attempt leaves in the database does not quote them either.
    rows = await eyes.sql("select errors::text, reason from pgqueue.jobs")
    assert SECRET not in "".join(str(tuple(row)) for row in rows)


@pytest.mark.rule("S9")
async def test_what_is_lost_rescued_and_buried_is_not_quoted(
    dsn: str, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    """One dead worker's jobs: one runs again, one is buried, one was asked to stop."""
    caplog.set_level(logging.DEBUG)
    heard: list[str] = []
    ran: list[str] = []
    app = App(dsn)

    @app.task
    async def work(token: str) -> None:
        ran.append(token)

    jobs = [work.using(metadata={"m": SECRET}).job(SECRET) for _ in range(3)]
    again, buried, stopped = [e.id for e in await app.aenqueue_many(jobs)]
    lost = await lose(eyes, again)
    await eyes.sql(
        "update pgqueue.job set worker_id = $1, claim_token = 1, claimed_at = now(), attempt = 1,"
        " crash_count = 2, quarantined = id = $2, cancel_requested = id = $3 where id in ($2, $3)",
        lost, buried, stopped,
    )  # fmt: skip
    channel = await eyes.value("select pgqueue.channel()")

    def hear(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        heard.append(str(payload))

    await eyes.connection.add_listener(channel, hear)
    async with working(app):
        await eyes.settled(completed=1, dead=1, cancelled=1)
    await app.aclose()
    assert ran == [SECRET]
    rows = await eyes.sql("select id, errors::text, reason from pgqueue.jobs where errors <> '[]'")
    assert buried in {row["id"] for row in rows}
    lines = [caplog.handler.format(record) for record in caplog.records]
    lines += [str(vars(record)) for record in caplog.records]
    assert any("lost" in line for line in lines)
    shown = "\n".join([*lines, *heard, *(str(tuple(row)) for row in rows)])
    assert SECRET not in shown
    assert PASSWORD not in shown


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Card:
    number: int


class Model(pydantic.BaseModel):
    number: int


@pytest.mark.rule("S9")
@pytest.mark.parametrize(
    "kind",
    [
        int, bool, float, bytes, uuid.UUID, datetime, date, timedelta, Decimal, Color, Card, Model,
        Literal["a"], list[int], dict[str, int], set[int], tuple[int, int], int | None,
        list[Model], dict[str, Model], Annotated[str, msgspec.Meta(max_length=3)],
    ],
)  # fmt: skip
def test_stored_arguments_that_do_not_fit_are_not_quoted(kind: Any) -> None:
    """The text of this error is logged, and kept with the job."""

    def task(value: Any) -> None: ...

    task.__annotations__["value"] = kind
    payload = Payload(task, name="t")
    for value in (SECRET, [SECRET], {"number": SECRET}, {"x": {"number": SECRET}}):
        with pytest.raises(PayloadError) as raised:
            payload.decode(json.dumps({"value": value}))
        assert SECRET not in str(raised.value)


def chain(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


@pytest.mark.rule("S9")
async def test_an_error_of_the_database_does_not_quote_the_row(dsn: str) -> None:
    """PostgreSQL's detail of a refused row is the row."""
    async with Client(dsn) as client:
        job = client.job("t", {"token": SECRET})
        wrong = type(job)("t" * 201, job.args, job.options)
        with pytest.raises(PgQueueError) as raised:
            await client.aenqueue_job(wrong, None)
    assert "violates check constraint" in str(raised.value)
    assert SECRET not in chain(raised.value)


@pytest.mark.rule("S9")
def test_the_detail_of_any_error_is_left_out() -> None:
    import asyncpg

    fields = {"S": "ERROR", "C": "23514", "M": "new row violates", "D": f"Failing row: {SECRET}"}
    error = asyncpg.PostgresError.new(fields)  # type: ignore[no-untyped-call]
    assert SECRET in str(error)
    ours = as_ours(error, "postgresql://me@h/d")
    ours.__cause__ = error
    assert SECRET not in chain(ours)


@pytest.mark.rule("S9")
@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://me:{PASSWORD}@127.0.0.1:1/x",
        f"postgresql://me:{PASSWORD}@127.0.0.1:notaport/x",
        f"postgresql://me:a@b:{PASSWORD}@[::1/x",
        f"postgresql://me@127.0.0.1:1/x?password={PASSWORD}",
        f"postgresql://127.0.0.1:1/x?user=me&password={PASSWORD}&sslmode=wrong",
        f"postgresql://me:{PASSWORD}@127.0.0.1:1/x?sslmode=verify-full&sslrootcert=/nowhere",
        f"postgresql://me:{PASSWORD}@/x?host=/nowhere",
        f"postgresql+asyncpg://me:{PASSWORD}@127.0.0.1:1/x",
        f"mysql://me:{PASSWORD}@h/d",
    ],
)
async def test_no_exception_holds_the_password(dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither does any in its chain, as a logged traceback would show it, nor the log."""
    from pgqueue import Worker

    with pytest.raises(PgQueueError) as raised:
        async with Client(dsn) as client:
            await client.aenqueue("t")
    assert PASSWORD not in chain(raised.value)
    assert PASSWORD not in repr(raised.value)

    async def work() -> None:
        app = App(dsn)
        app.task(name="t")(lambda: None)
        await Worker(app, deadline=1.0).start()

    starting = asyncio.ensure_future(work())
    # It waits for a server that refuses, and what is wrong ends it.
    await eventually(lambda: starting.done() or "waits for its server" in caplog.text)
    starting.cancel()
    with pytest.raises((PgQueueError, asyncio.CancelledError)) as raised:
        await starting
    assert PASSWORD not in chain(raised.value)
    assert PASSWORD not in caplog.text


JOBS = """
import os, subprocess, pgqueue
app = pgqueue.App()

@app.task
def look() -> None: ...
"""


@pytest.mark.rule("S19")
@pytest.mark.parametrize("given", ["environment", "option"])
def test_no_process_shows_the_dsn_but_the_one_that_was_given_it(
    dsn: str, tmp_path: Path, given: str
) -> None:
    """A dsn on the command line shows in ps for that process: the help says so. Children get it
    by their environment, which others cannot read."""
    dsn = with_password(dsn)
    (tmp_path / "jobs.py").write_text(JOBS)
    env = {name: value for name, value in os.environ.items() if name != "PGQUEUE_DSN"}
    line = ["worker", "jobs:app", "--processes", "2"]
    if given == "environment":
        env["PGQUEUE_DSN"] = dsn
    else:
        line += ["--dsn", dsn]
    process = subprocess.Popen(
        [sys.executable, "-c", "from pgqueue.cli import main; main()", *line],
        cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        with Client(dsn) as client:
            wait_until(lambda: len(client.workers()) == 2)
            children = psutil.Process(process.pid).children(recursive=True)
            assert len(children) == 2
            shown = {child.pid: " ".join(child.cmdline()) for child in children}
            shown |= {child.pid: shown[child.pid] + child.name() for child in children}
            if given == "environment":
                shown[process.pid] = " ".join(psutil.Process(process.pid).cmdline())
    finally:
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)
    assert all(PASSWORD not in text for text in shown.values()), shown
    assert PASSWORD not in stderr


@pytest.mark.rule("S19")
def test_the_password_may_stand_in_a_file(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """.pgpass is read: what asks for it is shown a server that wants a password."""
    import socket
    import threading

    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"127.0.0.1:{port}:*:me:{PASSWORD}\n")
    passfile.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    got: list[bytes] = []

    def serve() -> None:
        peer, _ = server.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(b"R\x00\x00\x00\x08\x00\x00\x00\x03")  # a password in clear text
            got.append(peer.recv(4096))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with server, Client(f"postgresql://me@127.0.0.1:{port}/x?sslmode=disable") as client:
        with pytest.raises(PgQueueError):
            client.enqueue("t")
        thread.join(10)
    assert got == [b"p" + (len(PASSWORD) + 5).to_bytes(4, "big") + PASSWORD.encode() + b"\0"]
