"""Several servers, each with a queue of its own: what tells them apart for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pgqueue.dsn.check import check_dsn
from pgqueue.dsn.redact import redact
from pgqueue.dsn.text import Malformed, parse
from pgqueue.errors import ConfigError, shown

__all__ = ["cell_names", "check_cells"]

_Given = dict[str, str]


def check_cells(dsns: object) -> tuple[str, ...]:
    """Return the dsns of several servers; each may be there once. Raises ConfigError."""
    if isinstance(dsns, str) or not isinstance(dsns, Iterable):
        raise ConfigError(f"cells must be a list of dsns, got {_shown(dsns)}; write [dsn, dsn]")
    given: Iterable[object] = dsns  # pyright: ignore[reportUnknownVariableType]
    found = tuple(map(_check, given))
    if not found:
        raise ConfigError("cells must name at least one dsn, got none")
    for dsn in found:
        if found.count(dsn) > 1:
            raise ConfigError(f"cells must be different servers, {redact(dsn)} is there twice")
    return found


def _check(dsn: object) -> str:
    if not isinstance(dsn, str):
        raise ConfigError(f"each of cells must be a dsn, got {shown(dsn)}")
    return check_dsn(dsn)


def _shown(value: object) -> str:
    return redact(value) if isinstance(value, str) else shown(value)


def cell_names(dsns: Iterable[str]) -> tuple[str, ...]:
    """Return a short name for each: the host if that tells them apart, or the database, or more.

    Where not even host, port and database do, they are numbered.
    """
    given = [_parsed(dsn) for dsn in dsns]
    for name in _WAYS:
        names = [name(one) for one in given]
        if all(names) and len(set(names)) == len(names):
            return tuple(names)
    return tuple(str(number + 1) for number in range(len(given)))


def _parsed(dsn: str) -> _Given:
    if dsn.startswith("embedded:"):
        return {"host": dsn.removeprefix("embedded:").rstrip("/").rpartition("/")[2]}
    try:
        return parse(dsn)
    except Malformed:
        return {}


def _host(one: _Given) -> str:
    return one.get("host") or one.get("hostaddr") or ""


def _database(one: _Given) -> str:
    return one.get("dbname", "")


def _port(one: _Given) -> str:
    return f"{_host(one)}:{one.get('port') or 5432}"


def _whole(one: _Given) -> str:
    return f"{_port(one)}/{_database(one)}"


_WAYS: tuple[Callable[[_Given], str], ...] = (_host, _database, _port, _whole)
