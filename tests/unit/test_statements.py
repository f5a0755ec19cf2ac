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


@pytest.mark.parametrize("name", FILES)
def test_every_statement_names_its_schema(name: str) -> None:
    raw = resources.files("pgqueue.db").joinpath("sql", f"{name}.sql").read_text("utf-8")
    text = statement(name, WEIRD)
    assert ':"schema"' not in text
    assert text.count('"we""ird') == raw.count(':"schema"')


@pytest.mark.parametrize("name", FILES)
def test_every_statement_says_what_it_needs_and_locks(name: str) -> None:
    raw = resources.files("pgqueue.db").joinpath("sql", f"{name}.sql").read_text("utf-8")
    head = "\n".join(line for line in raw.splitlines() if line.startswith("--"))
    assert re.search(r"^-- needs: \S", head, re.MULTILINE)
    assert re.search(r"^-- locks: \S", head, re.MULTILINE)
    assert raw.startswith("-- ")
    assert ";" not in raw.split("\n-- locks:")[1].split("\n", 1)[1], "one statement a file"


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
