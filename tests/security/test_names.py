"""S4, S5: a name is a value or a quoted identifier, and never cut without a word."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql

from pgqueue import App, Client, ConfigError, PayloadError
from pgqueue.cli.root import cli
from pgqueue.db.migrate import migrate, plan
from pgqueue.db.roles import roles_sql
from pgqueue.db.statements import check_schema_name, quote_identifier, quote_literal
from pgqueue.job import NewJob
from tests.security.hostile_texts import TEXTS
from tests.test_house import SQL, literal, parsed
from tests.worker.support import Eyes, working

# What may be put into SQL text by hand: names that are quoted there and then, and our constants.
BUILT = {
    "quote_identifier(schema)",
}  # fmt: skip


@pytest.mark.rule("S4")
def test_the_corpus_is_large() -> None:
    assert len(TEXTS) > 400


@pytest.mark.rule("S4")
def test_no_statement_is_built_of_anything_but_quoted_names() -> None:
    strays = [
        f"{path}:{node.lineno}: {ast.unparse(value.value)}"
        for path, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr) and SQL.match("".join(map(literal, node.values)))
        for value in node.values
        if isinstance(value, ast.FormattedValue) and ast.unparse(value.value) not in BUILT
    ]
    assert not strays, "\n".join(strays)


FIELDS: dict[str, Callable[[Client, str], NewJob]] = {
    "queue": lambda client, text: client.job("t", queue=text),
    "task": lambda client, text: client.job(text),
    "unique_key": lambda client, text: client.job("t", unique_key=text),
    "tags": lambda client, text: client.job("t", tags=[text]),
    "metadata": lambda client, text: client.job("t", metadata={text: text}),
    "args": lambda client, text: client.job("t", {text: text}),
}


@pytest.mark.rule("S4", "S5")
@pytest.mark.parametrize("field", FIELDS)
def test_a_text_is_refused_or_comes_back_as_it_was(
    dsn: str, root: psycopg.Connection, field: str
) -> None:
    with Client(dsn) as client:
        jobs: list[NewJob] = []
        for text in TEXTS:
            try:
                jobs.append(FIELDS[field](client, text))
            except (ConfigError, PayloadError):
                continue
            assert "\0" not in text
        assert len(jobs) > 200
        ids = [one.id for one in client.enqueue_many(jobs)]
        assert len(set(ids)) == len(jobs)
        for job_id, job in zip(ids, jobs, strict=True):
            row = root.execute(
                "select queue, task, unique_key, tags, metadata::text, args::text"
                " from pgqueue.job where id = %s", (job_id,),
            ).fetchone()  # fmt: skip
            assert row is not None
            wanted = {"task": job.task, "queue": "default", **job.options}
            assert row[:3] == (wanted["queue"], wanted["task"], wanted.get("unique_key"))
            assert row[3] == wanted.get("tags")
    assert root.execute("select count(*) from pgqueue.job").fetchone() == (len(jobs),)


FILTERS: dict[str, Callable[[Client, str], Any]] = {
    "list by queue": lambda client, text: client.list_jobs(queue=text),
    "list by task": lambda client, text: client.list_jobs(state="pending", task=text),
    "list by tag": lambda client, text: client.list_jobs(state="running", tag=text),
    "match by tag": lambda client, text: client.match_jobs(tag=text),
    "dead by reason": lambda client, text: client.list_dead(reason=text),
    "redrive": lambda client, text: client.redrive(queue=text, reason=text),
    "purge": lambda client, text: client.purge_dead(task=text),
    "pause": lambda client, text: (client.pause(text), client.resume(text)),
}


@pytest.mark.rule("S4")
@pytest.mark.parametrize("verb", FILTERS)
def test_a_filter_is_a_value(dsn: str, root: psycopg.Connection, verb: str) -> None:
    with Client(dsn) as client:
        client.enqueue("t", tags=["tag"])
        for text in TEXTS:
            try:
                found = FILTERS[verb](client, text)
            except ConfigError:
                continue
            assert not isinstance(found, list) or not found or text == "default", text
    assert root.execute("select count(*) from pgqueue.job").fetchone() == (1,)


@pytest.mark.rule("S4")
async def test_a_worker_serves_queues_and_tasks_of_any_name(dsn: str, eyes: Eyes) -> None:
    app = App(dsn)
    ran: Counter[str] = Counter()
    names: list[str] = []
    for text in TEXTS:
        try:
            app.task(name=text, queue=text)(_counting(ran, text))
        except ConfigError:
            continue
        names.append(text)
    assert len(names) > 150
    async with working(app):
        await app.aenqueue_many([app.job(name, queue=name) for name in names])
        await eyes.settled(completed=len(names), timeout_s=60)
    await app.aclose()
    assert ran == Counter(names)


def _counting(ran: Counter[str], text: str) -> Callable[[], Any]:
    async def count() -> None:
        ran[text] += 1

    return count


@pytest.mark.rule("S5")
def test_a_schema_is_refused_or_has_exactly_its_name(root: psycopg.Connection) -> None:
    kept = 0
    for text in TEXTS:
        try:
            check_schema_name(text)
        except ConfigError:
            continue
        root.execute(f"create schema if not exists {quote_identifier(text)}".encode())
        found = root.execute("select nspname from pg_namespace where nspname = %s", (text,))
        assert found.fetchall() == [(text,)]
        kept += 1
    assert kept > 150


@pytest.mark.rule("S5")
def test_literals_are_read_as_they_are(root: psycopg.Connection) -> None:
    for setting in ("on", "off"):
        root.execute(f"set standard_conforming_strings = {setting}".encode())
        for text in TEXTS:
            try:
                check_schema_name(text)
            except ConfigError:
                continue
            found = root.execute(b"select " + quote_literal(text).encode()).fetchone()
            assert found == (text,), (setting, text)


LONG = "tenant_" * 10


@pytest.mark.rule("S5")
async def test_two_names_that_PostgreSQL_would_cut_to_one_are_refused(
    empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (LONG + "a", LONG + "b"):
        assert len(name) > 63
        with pytest.raises(ConfigError, match="PostgreSQL cuts names at 63"):
            Client(empty_dsn, schema=name)
        with pytest.raises(ConfigError, match="PostgreSQL cuts names at 63"):
            await migrate(empty_dsn, name)
        with pytest.raises(ConfigError, match="PostgreSQL cuts names at 63"):
            plan(name)
        for command in ("status", "migrate", "roles"):
            result = CliRunner().invoke(cli, ["--dsn", empty_dsn, command, "--schema", name])
            assert result.exit_code == 2, result.output
        monkeypatch.setenv("PGQUEUE_SCHEMA", name)
        with pytest.raises(ConfigError, match="PostgreSQL cuts names at 63"):
            App(empty_dsn)
        monkeypatch.delenv("PGQUEUE_SCHEMA")
    with pytest.raises(ConfigError, match=r"role .* has 65 bytes.*give another --prefix"):
        roles_sql("pgqueue", "x" * 56)


@pytest.mark.rule("S5")
async def test_names_that_differ_in_their_last_byte_stay_apart(empty_dsn: str) -> None:
    names = ["x" * 62 + end for end in "ab"]
    for name in names:
        await migrate(empty_dsn, name)
    channels: set[str] = set()
    with psycopg.connect(empty_dsn, autocommit=True) as root:
        for n, name in enumerate(names):
            async with Client(empty_dsn, schema=name) as client:
                await client.aenqueue_many([client.job("t", unique_key="k")] * (n + 1))
            row = root.execute(
                sql.SQL("select {}.channel(), (select count(*) from {})").format(
                    sql.Identifier(name), sql.Identifier(name, "job")
                )
            ).fetchone()
            assert row is not None
            assert row[1] == 1
            channels.add(row[0])
    assert len(channels) == 2
