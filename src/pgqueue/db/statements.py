"""SQL files, each read once, with the name of the schema put in, quoted.

A client reads a file when it first needs it. A worker reads all of them at its start: the package
may be replaced or removed while it runs, and it may run out of descriptors.

Comments are for whoever reads the file: they are not sent. What is sent begins with the name of the
file in a comment, which names the statement in the server's log, in ``pg_stat_activity`` and in
``pg_stat_statements``.

What several statements share word for word stands once, in ``sql/parts``: ``:released`` in a file
is replaced by the text of ``parts/released.sql``. A part without a file fails when the statement is
loaded; one that is used once fails the tests.

Two more spellings are replaced in every file: ``:"schema"`` by the quoted identifier (as psql
does), and ``':"schema".table'`` by a string literal of the same, for ``regclass`` casts.
"""

from __future__ import annotations

import functools
import pkgutil
import re
from collections.abc import Callable

from pgqueue.errors import ConfigError

__all__ = [
    "check_schema_name",
    "part",
    "put_together",
    "quote_identifier",
    "quote_literal",
    "read_all",
    "render",
    "source",
    "statement",
]

_LITERAL = re.compile(r"""':"schema"\.(\w+)'""")
_IDENTIFIER = ':"schema"'
# Where the texts of functions and migrations begin and end.
_MARKS = ("$body$", "$migration$", "$pgqueue$")
# What is quoted is matched first: nothing in it is a comment or names a part.
_TOKEN = re.compile(
    r"""
    (?P<quoted>
        [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
        | \$ (?P<tag> (?:[a-zA-Z_]\w*)? ) \$ .*? \$ (?P=tag) \$
    )
    | ^[ \t]* --[^\n]*\n  # alone on its line, which goes with it
    | [ \t]* --[^\n]*
    | (?<! [:\w] ) : (?P<part> [a-z]\w* )
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


def quote_identifier(name: str) -> str:
    """Return ``name`` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """Return ``text`` as a SQL string, whatever standard_conforming_strings is."""
    doubled = text.replace("'", "''")
    return "E'" + doubled.replace("\\", "\\\\") + "'" if "\\" in text else f"'{doubled}'"


def check_schema_name(name: object) -> str:
    """Return the schema name, or raise ConfigError: any name PostgreSQL can keep whole."""
    if not isinstance(name, str) or not name:
        raise ConfigError(f"schema must be a non-empty string, got {name!r}")
    try:
        size = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        raise ConfigError(f"schema {name!r} is not valid Unicode") from None
    if size > 63:
        raise ConfigError(
            f"schema {name!r} has {size} bytes; PostgreSQL cuts names at 63, choose a shorter one"
        )
    if any(ord(c) < 32 or ord(c) == 127 for c in name):
        raise ConfigError(f"schema {name!r} has a control character in it")
    for mark in _MARKS:
        if mark in name:
            raise ConfigError(f"schema {name!r} has {mark} in it")
    if name.startswith("pg_"):
        raise ConfigError(
            f'schema {name!r} is reserved: PostgreSQL keeps names with "pg_" for itself'
        )
    return name


def render(text: str, schema: str) -> str:
    """Put the schema's name into SQL text."""
    quoted = quote_identifier(schema)
    literal = quoted.replace("'", "''")
    text = _LITERAL.sub(lambda m: f"'{literal}.{m.group(1)}'", text)
    return text.replace(_IDENTIFIER, quoted)


def put_together(text: str, part: Callable[[str], str]) -> str:
    """Return SQL text without its ``--`` comments, and with the parts that it names."""

    def token(match: re.Match[str]) -> str:
        name = match["part"]
        return match["quoted"] or "" if name is None else part(name)

    return _TOKEN.sub(token, text).strip()


@functools.cache
def source(name: str) -> str:
    return f"/* {name} */ {put_together(_read(name), part)}"


@functools.cache
def part(name: str) -> str:
    text = put_together(_read(f"parts/{name}"), part)
    return " ".join(text.split())


def _read(path: str) -> str:
    # importlib.resources would be a tenth of the time that it takes to import pgqueue.
    text = pkgutil.get_data("pgqueue.db", f"sql/{path}.sql")
    assert text is not None
    return text.decode()


def read_all() -> None:
    """Read every file now, so that none is needed later."""
    from importlib import resources

    for file in resources.files("pgqueue.db").joinpath("sql").iterdir():
        if file.name.endswith(".sql"):
            source(file.name.removesuffix(".sql"))


@functools.lru_cache(maxsize=512)
def statement(name: str, schema: str) -> str:
    """Return the statement in ``sql/<name>.sql`` for this schema, its name before it."""
    return render(source(name), schema)
