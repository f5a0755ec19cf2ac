"""The unique key of a job by its arguments: the task, and a digest of those that count.

The function ``unique_key_of`` of the schema makes the same key, so that a job that is enqueued in
SQL and one of the Python client meet. What is digested is the text of a jsonb value.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from pgqueue.errors import ConfigError

__all__ = ["canonical", "derived_key"]

_quoted = json.JSONEncoder(ensure_ascii=False).encode


def derived_key(task: str, args: str, paths: Sequence[str] | None) -> str:
    """Return the key of a job with these arguments, as JSON text.

    ``paths``: those that count; None: all. Raises ConfigError for one that is not given.
    """
    values: Any = json.loads(args, parse_int=Decimal, parse_float=Decimal)
    if paths is not None:
        values = {path: _at(path, values, task) for path in paths}
    return f"{task}:{hashlib.sha256(canonical(values).encode()).hexdigest()}"


def canonical(value: object) -> str:
    """Return JSON as PostgreSQL prints jsonb: keys by length, then by bytes; numbers in full."""
    if isinstance(value, Mapping):
        members = cast("Mapping[str, object]", value)
        ordered = sorted(members, key=lambda name: (len(raw := name.encode()), raw))
        return (
            "{" + ", ".join(f"{_quoted(name)}: {canonical(members[name])}" for name in ordered)
            + "}"
        )  # fmt: skip
    if isinstance(value, list):
        return "[" + ", ".join(map(canonical, cast("list[object]", value))) + "]"
    if isinstance(value, Decimal):
        return format(value or abs(value), "f")
    return _quoted(value)


def _at(path: str, args: Any, task: str) -> Any:
    value = args
    for name in path.split("."):
        if isinstance(value, dict) and name in value:
            value = cast("dict[str, Any]", value)[name]
        elif (
            isinstance(value, list)
            and name.isdecimal()
            and int(name) < len(cast("list[Any]", value))
        ):
            value = cast("list[Any]", value)[int(name)]
        else:
            given = ", ".join(args) or "none"
            raise ConfigError(
                f'unique: by names "{path}", which this call of the task "{task}" does not give; '
                f"its arguments are {given}"
            )
    return value
