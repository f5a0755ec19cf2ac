"""Statements with the name of the schema in them, and which names will do."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from pgqueue.db import statements
from pgqueue.db.statements import (
    check_schema_name,
    quote_identifier,
    read_all,
    render,
    statement,
    without_comments,
)
from pgqueue.errors import ConfigError

FILES = sorted(
    file.name.removesuffix(".sql")
    for file in resources.files("pgqueue.db").joinpath("sql").iterdir()
    if file.name.endswith(".sql")
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
    raw = raw_text(name)
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
    assert without_comments(text) == left


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


def test_a_third_of_the_text_of_statements_is_not_sent() -> None:
    written = sum(len(render(raw_text(name), "pgqueue")) for name in FILES)
    sent = sum(len(statement(name, "pgqueue")) for name in FILES)
    assert sent < 0.7 * written, f"{sent} of {written} characters are sent"
    assert len(statement("enqueue_one", "pgqueue")) < 300


def test_no_file_is_needed_once_all_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    statements._source.cache_clear()
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
