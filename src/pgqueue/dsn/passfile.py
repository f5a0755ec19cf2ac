"""The password file, as libpq reads it: ``host:port:database:user:password``, a line each.

``\\:`` is a colon and ``\\\\`` a backslash, in each of the five; asyncpg returns them escaped.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

__all__ = ["find_password"]


def find_password(
    lines: Iterable[str], *, hosts: Collection[str], port: str, database: str, user: str
) -> str | None:
    """Return the password of the first line that fits; ``hosts``: the names of one host."""
    for line in lines:
        if line.startswith("#"):
            continue
        fields = _fields(line.rstrip("\r\n"))
        if len(fields) == 5 and all(
            pattern == "*" or _plain(pattern) in values
            for pattern, values in zip(fields, (hosts, (port,), (database,), (user,)), strict=False)
        ):
            return _plain(fields[4])
    return None


def _fields(line: str) -> list[str]:
    """Cut a line at its first four colons that no backslash stands before."""
    found = re.fullmatch(r"((?:\\.|[^:\\])*):" * 4 + r"(.*)", line, re.DOTALL)
    return list(found.groups()) if found else []


def _plain(field: str) -> str:
    return re.sub(r"\\(.)", r"\1", field)
