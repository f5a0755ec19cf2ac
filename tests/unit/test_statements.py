"""Statements with the name of the schema in them, and which names will do."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from pgqueue.db import statements
from pgqueue.db.migrate import known
from pgqueue.db.statements import (
    check_schema_name,
    put_together,
    quote_identifier,
    read_all,
    render,
    statement,
)
from pgqueue.errors import ConfigError

FILES = sorted(
    file.name.removesuffix(".sql")
    for file in resources.files("pgqueue.db").joinpath("sql").iterdir()
    if file.name.endswith(".sql")
)
PARTS = sorted(
    file.name.removesuffix(".sql")
    for file in resources.files("pgqueue.db").joinpath("sql", "parts").iterdir()
)
WEIRD = "we\"ird 'na:me %s $1 {x}"


@pytest.mark.parametrize(
    ("text", "schema", "rendered"),
    [
        ('from :"schema".job', "pgqueue", 'from "pgqueue".job'),
        ('from :"schema".job', 'a"b', 'from "a""b".job'),
        ("nextval(':\"schema\".s'::regclass)", "a'b", "nextval('\"a''b\".s'::regclass)"),
        ("nextval(':\"schema\".s'::regclass)", 'a"b', 'nextval(\'"a""b".s\'::regclass)'),
        ('select 1 -- :"schemas"', "x", 'select 1 -- :"schemas"'),
        (
            ':"schema".a ' + "':\"schema\".b'",
            ':"schema"',
            '":""schema""".a ' + '\'":""schema""".b\'',
        ),
        ('\\1 :"schema".a', r"\g<0>", r'\1 "\g<0>".a'),
    ],
)
def test_the_schema_is_put_in_quoted(text: str, schema: str, rendered: str) -> None:
    assert render(text, schema) == rendered


def raw_text(name: str) -> str:
    return resources.files("pgqueue.db").joinpath("sql", f"{name}.sql").read_text("utf-8")


@pytest.mark.parametrize("name", FILES)
def test_every_statement_names_its_schema(name: str) -> None:
    raw = statements.source(name)
    text = statement(name, WEIRD)
    assert ':"schema"' not in text
    assert text.count('"we""ird') == raw.count(':"schema"')


@pytest.mark.parametrize("name", FILES)
def test_every_statement_says_what_it_needs_and_locks(name: str) -> None:
    raw = raw_text(name)
    head = "\n".join(line for line in raw.splitlines() if line.startswith("--"))
    assert re.search(r"^-- needs: \S", head, re.MULTILINE)
    assert re.search(r"^-- locks: \S", head, re.MULTILINE)
    assert raw.startswith("-- ")
    assert ";" not in raw.split("\n-- locks:")[1].split("\n", 1)[1], "one statement a file"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("-- head\n-- more\nselect 1  -- one\nfrom a\n", "select 1\nfrom a"),
        ("select 1,\n    -- the second\n    2", "select 1,\n    2"),
        ("select 1 -- the last", "select 1"),
        ("select '--a', 'it''s --b' -- c", "select '--a', 'it''s --b'"),
        ("select '\n-- a\n' -- b", "select '\n-- a\n'"),
        ("select e'\\'-- a' -- b", "select e'\\'-- a'"),
        ('select "--a""--b" -- c', 'select "--a""--b"'),
        ("do $$ --a\n-- b\n$$ -- c", "do $$ --a\n-- b\n$$"),
        ("do $x$ -- $$ $y$ -- a\n$x$ -- b", "do $x$ -- $$ $y$ -- a\n$x$"),
        ("select $1::a -- $2 $", "select $1::a"),
        ("select 1 - -1", "select 1 - -1"),
    ],
)
def test_comments_go_and_what_is_quoted_stays(text: str, left: str) -> None:
    assert put_together(text, str.upper) == left


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("select :cols, x\nfrom :tab", "select COLS, x\nfrom TAB"),
        ("select a::int, (:cols)", "select a::int, (COLS)"),
        ("select a[n:m], a[1:2]", "select a[n:m], a[1:2]"),
        ("select ':cols', \":cols\", $$ :c $$ -- :c", "select ':cols', \":cols\", $$ :c $$"),
        ("select 't:cols' from :\"schema\".t", "select 't:cols' from :\"schema\".t"),
    ],
)
def test_a_part_is_put_in_where_it_is_named(text: str, whole: str) -> None:
    assert put_together(text, str.upper) == whole


def test_a_part_without_a_file_fails_at_once() -> None:
    with pytest.raises(FileNotFoundError, match=r"sql/parts/no_such\.sql"):
        put_together("select :no_such", statements.part)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_says_what_it_is_and_is_shared(part: str) -> None:
    raw = raw_text(f"parts/{part}")
    assert raw.startswith("-- ")
    assert "/*" not in raw
    everywhere = [*FILES, *(f"parts/{other}" for other in PARTS)]
    uses = sum(len(re.findall(rf"(?<!:):{part}\b", raw_text(name))) for name in everywhere)
    assert uses > 1, f"put parts/{part}.sql where it is used"
    assert not any(f":{part}" in statement(name, "pgqueue") for name in FILES)


def columns_of(table: str) -> set[str]:
    """The columns of a table, as the migrations make and widen it."""
    sql = "".join(migration.sql for migration in known())
    body = re.search(rf'create table :"schema"\.{table} \((.*?)^\)', sql, re.DOTALL | re.MULTILINE)
    assert body is not None
    made = set(re.findall(r"^    (\w+) +[\w:]", body[1], re.MULTILINE)) - {"constraint"}
    wider = re.findall(rf'^alter table :"schema"\.{table}\b(.*?);', sql, re.DOTALL | re.MULTILINE)
    return made.union(*(re.findall(r"add column (\w+)", text) for text in wider))


def test_all_of_a_job_is_carried_into_history_and_dead() -> None:
    carried = set(statements.part("carried_columns").split(", "))
    own = {"crash_count", "errors"}  # written along, changed
    assert columns_of("job") - carried - own == {
        "position", "rank", "quarantined", "cancel_requested", "began_at", "unique_started",
    }  # fmt: skip
    assert columns_of("dead") == carried | own | {"rank", "finished_at", "reason"}
    assert columns_of("history") == carried | own | {"finished_at", "state", "result"}
    assert set(statements.part("undamaged_columns").split(", ")) > carried - {
        "args", "tags", "metadata",
    }  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_statement_is_sent_with_its_name_and_no_other_comment(name: str) -> None:
    assert "/*" not in raw_text(name), "comments begin with two dashes"
    head = f"/* {name} */ "
    sent = statement(name, "pgqueue")
    assert sent.startswith(head)
    rest = sent.removeprefix(head)
    assert re.match(r"\w", rest)
    assert "--" not in rest
    assert "/*" not in rest


def with_parts(raw: str) -> str:
    """The text of a file and of the parts that it names, with all their comments."""
    for part in PARTS:
        text = with_parts(raw_text(f"parts/{part}")) if f":{part}" in raw else ""
        raw = re.sub(rf"(?<![:\w]):{part}\b", text.replace("\\", r"\\"), raw)
    return raw


def test_over_a_quarter_of_the_text_of_statements_is_not_sent() -> None:
    written = sum(len(render(with_parts(raw_text(name)), "pgqueue")) for name in FILES)
    sent = sum(len(statement(name, "pgqueue")) for name in FILES)
    assert sent < 0.75 * written, f"{sent} of {written} characters are sent"
    assert len(statement("enqueue_one", "pgqueue")) < 300


def test_no_file_is_needed_once_all_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    statements.source.cache_clear()
    read_all()

    def gone(*_: object) -> bytes:
        raise FileNotFoundError("the package was removed")

    monkeypatch.setattr("pkgutil.get_data", gone)
    for name in FILES:
        assert statement(name, "read before")


@pytest.mark.parametrize("name", ["pgqueue", "Jobs", "ä" * 31, "x" * 63, WEIRD, "select", " "])
def test_any_name_that_postgresql_keeps_whole_will_do(name: str) -> None:
    assert check_schema_name(name) == name
    assert quote_identifier(name)[1:-1].replace('""', '"') == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "must be a non-empty string"),
        (None, "must be a non-empty string, got None"),
        (5, "must be a non-empty string, got 5"),
        ("x" * 64, "has 64 bytes; PostgreSQL cuts names at 63"),
        ("ä" * 32, "has 64 bytes"),
        ("a\0b", "control character"),
        ("a\nb", "control character"),
        ("\ud800", "not valid Unicode"),
        ("a$body$b", r"\$body\$"),
        ("pg_jobs", "reserved"),
    ],
)
def test_names_that_will_not_do(name: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_schema_name(name)
