"""S11: what others put into a row cannot forge a line of the log, nor act on a terminal."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from pgqueue import App, Client, ConfigError
from pgqueue.cli.root import cli
from pgqueue.observe.logs import JsonFormatter, TextFormatter
from tests.security.hostile_texts import TEXTS
from tests.worker.support import Eyes, working

# What acts: controls, separators of lines, marks that hide or reorder.
ACTIVE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
EVIL = (
    "x\r\n2026-01-01T00:00:00.000+00:00 info pgqueue.worker forged"
    "\x1b[2J\x1b]0;t\x07\u202e\u2028\x9b\x85y"
)


def strays(text: str) -> list[str]:
    return sorted(set(ACTIVE.findall(text)))


@pytest.mark.rule("S11")
@pytest.mark.parametrize("place", ["message", "args", "extra", "name of extra", "exception"])
def test_every_record_is_one_line(place: str) -> None:
    for text in (*TEXTS, EVIL):
        record = logging.makeLogRecord({"name": "pgqueue.worker", "levelname": "INFO"})
        match place:
            case "message":
                record.msg = text
            case "args":
                record.msg, record.args = "job %d (%s)", (1, text)
            case "extra":
                record.msg, record.task = "m", text  # type: ignore[attr-defined]
            case "name of extra":
                record.msg = "m"
                setattr(record, f"k{text}", text)
            case _:
                record.msg = "m"
                try:
                    raise ValueError(text)
                except ValueError:
                    record.exc_info = sys.exc_info()
        line = JsonFormatter().format(record)
        assert len(line.splitlines()) == 1, repr(text)
        assert strays(line) == [], repr(text)
        json.loads(line)
        first, *rest = TextFormatter().format(record).split("\n")
        assert strays(first) == [], repr(text)
        assert bool(rest) == (place == "exception")
        # A traceback is indented: no line of it can pass for a record.
        assert all(line.startswith("    ") and strays(line) == [] for line in rest)


@pytest.mark.rule("S11")
async def test_what_a_worker_logs_of_hostile_jobs(
    dsn: str, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    """Names straight into the table, past every check; errors and reasons of tasks."""
    caplog.set_level(logging.DEBUG)
    app = App(dsn)

    @app.task(name="fails", max_attempts=1)
    async def fails() -> None:
        raise ValueError(EVIL)

    @app.task(name="odd", max_attempts=1)
    async def odd() -> None:
        raise type(EVIL, (Exception,), {"__module__": EVIL})(EVIL)

    stored = EVIL.replace("\0", "")
    await eyes.sql(
        "insert into pgqueue.job (task, queue, position, args, tags) values"
        " ($1::text, 'default', nextval('pgqueue.position_seq'), jsonb_build_object($1, $1),"
        " array[$1])", stored,
    )  # fmt: skip
    await eyes.sql("select pg_notify(pgqueue.channel(), $1)", stored)
    await app.aenqueue_many([fails.job(), odd.job()])
    async with working(app):
        await eyes.sql("select pg_notify(pgqueue.channel(), $1)", stored)
        await eyes.settled(dead=2, pending=1)
        await eyes.terminate("claim")
        await fails.aenqueue()
        await eyes.settled(dead=3, pending=1)
    await app.aclose()
    ours = [record for record in caplog.records if record.name.startswith("pgqueue")]
    assert any("forged" in record.getMessage() for record in ours)
    for record in ours:
        first, *rest = TextFormatter().format(record).split("\n")
        assert strays(first) == []
        assert all(line.startswith("    ") for line in rest)
        assert len(JsonFormatter().format(record).splitlines()) == 1


COMMANDS = [
    "status", "queues list", "workers", "jobs list", "jobs show 1", "jobs show 2", "dead list",
    "dead list --count", "dead show 2", "jobs retry 1", "jobs cancel 1", "jobs cancel --all",
    "dead redrive --all",
]  # fmt: skip


def fill(root: psycopg.Connection) -> None:
    """Jobs, a dead letter, a queue and a worker with nothing but hostile texts in them."""
    row = "%(x)s, %(x)s, jsonb_build_object(%(x)s, %(x)s), array[%(x)s], %(x)s"
    errors = (
        "jsonb_build_array(jsonb_build_object('attempt', %(x)s, 'at', %(x)s, 'type', %(x)s,"
        " 'message', %(x)s, 'traceback', %(x)s, 'worker', %(x)s))"
    )

    def run(statement: str) -> None:
        root.execute(statement.replace("%(x)s", "%(x)s::text").encode(), {"x": EVIL})

    run(
        "insert into pgqueue.job (id, queue, task, args, tags, unique_key, errors, metadata,"
        f" position) values (1, {row}, {errors}, jsonb_build_object(%(x)s, %(x)s), 1)"
    )
    run(
        "insert into pgqueue.dead (id, queue, task, args, tags, unique_key, errors, reason, run_at,"
        " finished_at, enqueued_at, attempt, max_attempts, priority, crash_count)"
        f" values (2, {row}, {errors}, %(x)s, now(), now(), now(), 1, 1, 1, 0)"
    )
    run("insert into pgqueue.queue (name, paused_at) values (%(x)s, now())")
    run(
        "insert into pgqueue.worker (id, heartbeat_at, started_at, server_start, pid, concurrency,"
        " lease_seconds, host, version, queues) values (1, now(), now(), now(), 42, 10, 15,"
        " %(x)s, %(x)s, array[%(x)s])"
    )


@pytest.mark.rule("S11")
def test_no_command_prints_what_acts(dsn: str, root: psycopg.Connection) -> None:
    fill(root)
    for command in (*COMMANDS, *(f"{line} --json" for line in COMMANDS)):
        result = CliRunner().invoke(cli, ["--dsn", dsn, *command.split()])
        assert strays(result.output) == [], command
        assert not re.search(r"^2026-01-01T", result.output, re.MULTILINE), command
        if command.endswith("--json") and result.stdout:
            assert len(result.stdout.splitlines()) == 1
            json.loads(result.stdout)
    for args in (["queues", "pause", EVIL], ["jobs", "list", "--queue", EVIL], [EVIL],
                 ["--dsn", EVIL, "status"], ["worker", EVIL]):  # fmt: skip
        result = CliRunner().invoke(cli, args, env={"PGQUEUE_DSN": dsn})
        assert result.exit_code == 2
        assert strays(result.output) == []
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.rule("S11")
def test_nothing_of_a_row_reaches_a_terminal_as_it_is(
    dsn: str, root: psycopg.Connection, tmp_path: Path
) -> None:
    """On a real terminal, where tables may have colours of their own."""
    fill(root)
    for command in ("jobs list", "dead list", "queues list", "workers"):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", "from pgqueue.cli import main; main()", *command.split()],
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path,
            env={**os.environ, "PGQUEUE_DSN": dsn, "TERM": "xterm-256color", "COLUMNS": "300"},
        )  # fmt: skip
        os.close(theirs)
        shown = bytearray()
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:
                break
            if not chunk:
                break
            shown += chunk
        os.close(ours)
        assert process.wait(60) == 0
        text = shown.decode().replace("\r\n", "\n")
        text = re.sub(r"\x1b\[[0-9;]*m", "", text)  # colours, which are ours
        assert strays(text) == [], command
        assert "forged" in text


@pytest.mark.rule("S11")
def test_messages_of_errors_are_one_line(dsn: str) -> None:
    with Client(dsn) as client:
        looks: list[Callable[[], object]] = [
            lambda: client.list_jobs(queue=EVIL),
            lambda: client.list_jobs(task=EVIL),
            lambda: client.list_jobs(tag=EVIL + "\0"),
        ]
        for look in looks:
            with pytest.raises(ConfigError) as raised:
                look()
            assert strays(str(raised.value)) == []
