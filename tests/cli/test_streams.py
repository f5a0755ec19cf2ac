"""Terminals that are not UTF-8, and streams that are not there."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from pgqueue.cli.root import cli
from pgqueue.client import Client
from tests.cli.conftest import bury

ODD = "Łóź ☃ 😀"
SHOWN = r"\u0141\xf3\u017a \u2603 \U0001f600"
ENCODINGS = ["ascii", "latin-1", "cp1252", "koi8-r"]


def run(dsn: str | None, *args: object, charset: str) -> Result:
    env: dict[str, str | None] = {"PGQUEUE_DSN": dsn, "COLUMNS": "500"}
    return CliRunner(charset=charset).invoke(cli, [str(arg) for arg in args], env=env)


@pytest.fixture
def jobs(client: Client, db: psycopg.Connection[Any]) -> tuple[int, int]:
    """One that waits and one that is dead; all that can be text in them is odd."""
    waiting, dead = (
        client.enqueue(
            ODD, {"to": ODD}, queue=ODD, tags=[ODD], metadata={"a": ODD}, unique_key=f"{ODD}{n}"
        ).id
        for n in range(2)
    )
    db.execute(
        "update pgqueue.job set errors = jsonb_build_array(jsonb_build_object("
        " 'attempt', 1, 'type', %s::text, 'message', %s::text, 'traceback', %s::text,"
        " 'worker', %s::text)) where id = %s",
        (ODD, ODD, f"a\n{ODD}", ODD, dead),
    )
    bury(db, dead, reason=ODD)
    db.execute(
        "insert into pgqueue.worker (id, heartbeat_at, started_at, server_start, pid, concurrency,"
        " lease_seconds, host, version, queues) values (1, now(), now(), now(), 1, 1, 15, %s, %s,"
        " array[%s])",
        (ODD, "1", ODD),
    )
    return waiting, dead


@pytest.mark.one_pg
@pytest.mark.parametrize("charset", ENCODINGS)
def test_a_terminal_that_is_not_utf_8_gets_escapes(
    dsn: str, jobs: tuple[int, int], charset: str
) -> None:
    waiting, dead = jobs
    for line in (
        ["status"],
        ["queues", "list"],
        ["queues", "pause", ODD],
        ["queues", "resume", ODD],
        ["workers"],
        ["jobs", "list"],
        ["jobs", "show", waiting],
        ["dead", "list"],
        ["dead", "show", dead],
        ["dead", "redrive", "--queue", ODD],
    ):
        result = run(dsn, *line, charset=charset)
        assert result.exit_code == 0, (line, result.stderr_bytes, result.exception)
        assert (result.stdout_bytes + result.stderr_bytes).isascii(), line
        if line[:2] != ["dead", "redrive"]:
            assert SHOWN.encode() in result.stdout_bytes, line


@pytest.mark.parametrize("charset", ENCODINGS)
def test_an_error_is_one_line_as_well(charset: str) -> None:
    result = run(None, "queues", "pause", ODD, "--dsn", f"mysql://h/{ODD}", charset=charset)
    assert result.exit_code == 2
    assert SHOWN.encode() in result.stderr_bytes
    assert result.stderr_bytes.count(b"\n") == 1


@pytest.mark.parametrize("line", ["roles", "migrate --sql"])
def test_sql_that_cannot_be_printed_as_it_is_is_not_printed(line: str) -> None:
    result = run(None, *line.split(), "--schema", "sóź", charset="latin-1")
    assert (result.exit_code, result.stdout_bytes) == (1, b"")
    assert result.stderr_bytes.startswith(
        rb"pgqueue: stdout is not UTF-8, and '\xf3' is in this SQL"
    )
    assert b"PYTHONIOENCODING=utf-8" in result.stderr_bytes
    whole = run(None, *line.split(), "--schema", "sóź", charset="utf-8")
    assert whole.exit_code == 0
    assert "sóź".encode() in whole.stdout_bytes


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_leads_nowhere(dsn: str, closed: str) -> None:
    """No connection gets its number: what is printed would go to the server."""
    code = "from pgqueue.cli import main; main()"
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" "$@" {closed}', sys.executable, "-c", code, "status"],
        env={"PGQUEUE_DSN": dsn},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == (b"" if "2>&-" in closed else b"no queues\nno workers\n")
    assert (b"pending" in done.stdout) == (">&-" not in closed.replace("2>&-", ""))
