"""The check of a dsn, when it is given; nothing is read and nobody asked."""

from __future__ import annotations

import os

from pgqueue.dsn.parameters import check_parameters
from pgqueue.dsn.redact import redact
from pgqueue.dsn.text import SCHEMES, Malformed, is_pairs, is_uri, parse, to_uri
from pgqueue.errors import ConfigError

__all__ = ["check_dsn", "dsn_from_environment"]

_FORMS = "postgresql://user@host:port/database, or embedded:DIR"

_TEXT = {
    "URL": "; write url.render_as_string(hide_password=False)",
    "Engine": "; write engine.url.render_as_string(hide_password=False)",
    "PostgresDsn": "; write str(dsn)",
}


def check_dsn(value: object) -> str:
    """Return a usable dsn: postgresql://..., or embedded:DIR; ``key=value`` pairs become a URI."""
    if value is not None and not isinstance(value, str):
        kind = type(value).__name__  # its text may hold a password
        raise ConfigError(
            f"dsn must be a string, {_FORMS}; got an object of {kind}{_TEXT.get(kind, '')}"
        )
    if value is None or not value.strip():
        raise ConfigError(f"no dsn: pass one ({_FORMS}) or set PGQUEUE_DSN")
    dsn = value.strip()
    if dsn.startswith("embedded:"):
        return dsn
    if not is_pairs(dsn):
        scheme, separator, rest = dsn.partition("://")
        plain = scheme.partition("+")[0].lower()
        if not separator or plain not in SCHEMES:
            only = ": jobs are kept in PostgreSQL alone" if separator else ""
            raise ConfigError(f"dsn {redact(dsn)!r} is not understood{only}; give {_FORMS}")
        dsn = f"{plain}://{rest}"
    try:
        given = parse(dsn)
    except Malformed:
        raise ConfigError(_malformed(dsn)) from None
    checked = check_parameters(given)
    return dsn if is_uri(dsn) and checked == given else to_uri(checked)


def _malformed(dsn: str) -> str:
    if is_uri(dsn):
        remedy = (
            "in a password or a name, write : / ? # @ [ ] and % as %3A %2F %3F %23 %40 %5B %5D and "
            "%25"
        )
    else:
        remedy = r"""write host=... dbname=..., and a value with spaces in '...', with \' and \\"""
    return f"dsn {redact(dsn)!r} cannot be taken apart; {remedy}"


def dsn_from_environment() -> str | None:
    """Return PGQUEUE_DSN, if it is set; asked for when first needed, never at import."""
    return os.environ.get("PGQUEUE_DSN") or None
