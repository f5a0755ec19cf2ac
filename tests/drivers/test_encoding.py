"""F36: what the database cannot store is refused before SQL, on whatever connection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import sql

from pgqueue import App, ConfigError, PayloadError
from pgqueue.db.migrate import migrate
from pgqueue.db.statements import statement
from pgqueue.drivers.encoding import of_server
from tests.conftest import SCHEMA
from tests.drivers import async_callers, blocking_callers
from tests.drivers.caller import CALLERS, Caller
from tests.drivers.observer import SQL
from tests.harness.servers import Server, run_apart

assert async_callers
assert blocking_callers


@pytest.fixture(scope="module", params=["LATIN1", "WIN1252", "EUC_JP"])
def encoded_dsn(pg: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"{pg.new_name()}_{request.param.lower()}"
    with pg.connect() as connection:
        connection.execute(
            sql.SQL(
                "create database {} template template0 encoding {} locale_provider libc"
                " lc_collate 'C' lc_ctype 'C'"
            ).format(sql.Identifier(name), sql.Literal(request.param))
        )
    run_apart(migrate(pg.dsn_for(name), SCHEMA))
    yield pg.dsn_for(name)
    pg.drop(name)


@pytest.fixture(params=[name for name in CALLERS if name not in ("psql", "trigger")])
def caller(encoded_dsn: str, request: pytest.FixtureRequest) -> Iterator[Caller]:
    with CALLERS[request.param](encoded_dsn) as caller:
        yield caller


def document(**job: Any) -> str:
    return json.dumps([{"task": "t", "args": {}}, {"task": "t", **job}], ensure_ascii=False)


PLAIN = statement("enqueue_alike", SCHEMA)
ODD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "a value": ({"args": {"a": [1, "Ω€😀"]}}, PayloadError, r"\$\.a\[1\]"),
    "a key": ({"args": {"😀": 1}}, PayloadError, r"\$\["),
    "metadata": ({"metadata": {"m": "😀"}}, PayloadError, r"metadata: \$\.m"),
    "a tag": ({"tags": ["😀"]}, ConfigError, "tags"),
    "a unique key": ({"unique_key": "😀"}, ConfigError, "unique_key"),
    "a task": ({"task": "😀"}, ConfigError, "task"),
}


@pytest.mark.fault("F36")
def test_text_that_the_database_cannot_store(caller: Caller) -> None:
    with caller.transaction():
        assert caller.execute("select 1")
        for job, error, says in ODD.values():
            with pytest.raises(error, match=says):
                caller.run(SQL, document(**job))
        for args in ('{"a": [1, "😀"]}', '[{}, {"a": [1, "😀"]}]'):
            with pytest.raises(PayloadError, match=r"\$\.a\[1\]"):
                caller.run(PLAIN, "t", args, "default", 5, 25)
        with pytest.raises(ConfigError, match="queue"):
            caller.run(PLAIN, "t", "{}", "😀", 5, 25)
        assert caller.execute("select 1")
        assert len(caller.run(SQL, document(args={"a": "plain"}))) == 2


MULTIBYTE = ("EUC_JP", "EUC_CN", "EUC_KR", "EUC_JIS_2004")
SINGLE_BYTE = (
    *(f"LATIN{n}" for n in range(1, 11)), *(f"ISO_8859_{n}" for n in range(5, 9)), "KOI8R", "KOI8U",
    *(f"WIN{n}" for n in (866, 874, *range(1250, 1259))),
)  # fmt: skip


# One for each way that codecs of Python and tables of PostgreSQL can differ; the rest are long.
SHOWN = [
    *MULTIBYTE, "LATIN1", "KOI8R", "WIN1252",
    *(pytest.param(name, marks=pytest.mark.long) for name in SINGLE_BYTE
      if name not in ("LATIN1", "KOI8R", "WIN1252")),
]  # fmt: skip


@pytest.mark.fault("F36")
@pytest.mark.parametrize("encoding", SHOWN)
def test_no_letter_is_refused_that_the_server_stores(pg: Server, encoding: str) -> None:
    """Of all that there are below U+30000; with one byte a letter, the tables are the same."""
    stores = """
        create function pg_temp.stores(letter text, encoding text) returns bool language plpgsql as
        $$ begin perform convert_to(letter, encoding); return true;
           exception when others then return false; end $$"""
    with pg.connect() as connection:
        connection.execute(stores.encode())
        rows = connection.execute(
            "select chr(n) from generate_series(128, 196607) as n"
            " where n not between 55296 and 57343 and pg_temp.stores(chr(n), %s)",
            (encoding,),
        ).fetchall()
    theirs = {letter for (letter,) in rows}
    found = of_server(encoding)
    assert found is not None
    assert {letter for letter in theirs if found.lack(letter)} == set()
    if encoding in SINGLE_BYTE:
        every = {chr(n) for n in range(128, 0x30000) if not 0xD800 <= n <= 0xDFFF}
        assert {letter for letter in every - theirs if not found.lack(letter)} == set()


@pytest.mark.fault("F36")
@pytest.mark.parametrize("encoded_dsn", ["EUC_JP"], indirect=True)
def test_characters_that_python_has_no_codec_for(encoded_dsn: str) -> None:
    app = App(encoded_dsn)

    async def enqueue() -> None:
        connection = await asyncpg.connect(encoded_dsn)
        await app.aenqueue("t", {"a": "①髙"}, connection=connection)
        await connection.close()

    run_apart(enqueue())
    with psycopg.connect(encoded_dsn, client_encoding="utf-8") as connection:
        row = connection.execute(
            "select args ->> 'a' from pgqueue.job order by id desc limit 1"
        ).fetchone()
    assert row == ("①髙",)


@pytest.mark.fault("F36")
@pytest.mark.parametrize("encoded_dsn", ["LATIN1"], indirect=True)
def test_what_it_can_store_is_stored(caller: Caller, encoded_dsn: str) -> None:
    job = document(task="grüß", args={"é": "ü"}, tags=["ñ"], metadata={"ç": "ß"})
    if caller.execute("show client_encoding")[0][0] in ("SQL_ASCII", b"SQL_ASCII"):
        with pytest.raises(ConfigError, match="task"):  # it would be stored as other characters
            caller.run(SQL, job)
        return
    with caller.transaction():
        caller.run(SQL, job)
    with psycopg.connect(encoded_dsn, client_encoding="utf-8") as connection:
        row = connection.execute(
            "select task, args, tags, metadata from pgqueue.job order by id desc limit 1"
        ).fetchone()
    assert row == ("grüß", {"é": "ü"}, ["ñ"], {"ç": "ß"})


@pytest.mark.fault("F36")
@pytest.mark.parametrize("encoded_dsn", ["LATIN1"], indirect=True)
def test_a_session_of_another_encoding(dsn: str, encoded_dsn: str) -> None:
    """The database has the letter, and the session cannot say it."""
    app = App(encoded_dsn)
    with psycopg.connect(dsn, client_encoding="latin1") as connection:
        with pytest.raises(PayloadError, match=r"\$\.a"):
            app.enqueue("t", {"a": "語"}, connection=connection)
        assert connection.execute("select 1").fetchone() == (1,)
        app.enqueue("t", {"a": "é"}, tags=["é"], connection=connection)
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select args, tags from pgqueue.job").fetchone()
    assert row == ({"a": "é"}, ["é"])
