"""The SQL that makes roles for a queue; names are put in for ``:"name"`` and ``:'name'``."""

from __future__ import annotations

import re
from importlib import resources

from pgqueue.db.statements import check_schema_name, quote_identifier, quote_literal
from pgqueue.errors import ConfigError

__all__ = ["ROLES", "roles_sql"]

ROLES = ("owner", "producer", "worker", "operator", "viewer")

_NAME = re.compile(r""":"(\w+)"|:'(\w+)'""")


def roles_sql(schema: str, prefix: str | None = None) -> str:
    """Return the SQL for roles ``<prefix>_owner`` and so on; the prefix is by default the schema.

    Raises ConfigError for a name that PostgreSQL would cut.
    """
    names = {"schema": check_schema_name(schema)}
    for role in ROLES:
        names[role] = _role_name(f"{schema if prefix is None else prefix}_{role}")

    def put_in(match: re.Match[str]) -> str:
        identifier, literal = match.groups()
        if identifier is not None:
            return quote_identifier(names[identifier])
        return quote_literal(names[literal])

    text = resources.files("pgqueue.db").joinpath("roles.sql").read_text("utf-8")
    return _NAME.sub(put_in, text)


def _role_name(name: str) -> str:
    try:
        return check_schema_name(name)
    except ConfigError as exc:
        raise ConfigError(
            f"{str(exc).replace('schema', 'role', 1)}; give another --prefix"
        ) from exc
