"""Statements with their values written into them, for connections of other drivers.

Each driver spells parameters in its own way, and has types of its own for what it sends. A
statement that has none is the same for all of them. It is for connections that somebody lends us
for a few statements, as tests do: the server plans each anew.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from pgqueue.db.statements import quote_literal, statement

__all__ = ["Value", "as_literal", "written_out"]

Scalar = str | int | float | bool | datetime | None
Value = Scalar | Sequence[Scalar]

# What is quoted may hold a dollar sign, as the name of a schema does.
_TOKEN = re.compile(r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | \$(?P<number>\d+)""", re.VERBOSE)


def written_out(name: str, schema: str, *values: Value) -> str:
    """Return the statement of that name with ``values`` in place of ``$1``, ``$2`` and so on."""
    literals = [as_literal(value) for value in values]

    def token(match: re.Match[str]) -> str:
        number = match["number"]
        return match[0] if number is None else literals[int(number) - 1]

    return _TOKEN.sub(token, statement(name, schema))


def as_literal(value: Value) -> str:
    if value is None:
        return "null"
    if isinstance(value, str) or not isinstance(value, Sequence):
        return quote_literal(_text(value))
    return quote_literal("{" + ",".join(map(_element, value)) + "}")


def _element(value: Scalar) -> str:
    if value is None:
        return "null"
    escaped = _text(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else str(value)
