"""The one door where a driver's error becomes ours: the schema is missing or too old."""

from __future__ import annotations

import re

from pgqueue.errors import SchemaError

__all__ = ["schema_fault", "sqlstate"]

# undefined_function, invalid_schema_name, undefined_table
_MISSING = frozenset({"42883", "3F000", "42P01"})
_SCHEMA = re.compile(r'"((?:[^"]|"")+)"\.')


def schema_fault(exc: Exception, sql: str) -> SchemaError | None:
    """Return SchemaError for the error of a missing schema, None for every other.

    The transaction is aborted all the same, and stays the caller's to roll back.
    """
    if sqlstate(exc) in _MISSING:
        return SchemaError(
            f"{_first_line(exc)}; on the database of this connection, run: {_remedy(sql)}"
        )
    return None


def sqlstate(exc: BaseException) -> str | None:
    """Return the five characters that PostgreSQL gave this error, whichever driver wraps it."""
    origin = _origin(exc)
    return None if origin is None else _code(origin)


def _code(exc: BaseException) -> str | None:
    code = getattr(exc, "sqlstate", None) or getattr(exc, "pgcode", None)
    return code if isinstance(code, str) else None


def _origin(exc: BaseException) -> BaseException | None:
    # SQLAlchemy and Django wrap the driver's error and keep it as the cause
    innermost: BaseException | None = None
    seen: set[int] = set()
    link: BaseException | None = exc
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if _code(link) is not None:
            innermost = link
        link = link.__cause__
    return innermost


def _first_line(exc: BaseException) -> str:
    origin = _origin(exc) or exc
    return next(iter(str(origin).splitlines()), type(origin).__name__)


def _remedy(sql: str) -> str:
    match = _SCHEMA.search(sql)
    schema = match.group(1).replace('""', '"') if match else "pgqueue"
    return "pgqueue migrate" + ("" if schema == "pgqueue" else f" --schema {schema!r}")
