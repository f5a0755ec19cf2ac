"""A dsn without its passwords, and a text without those of a dsn, however they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

from pgqueue.dsn.text import Malformed, parse

__all__ = ["redact", "without_passwords"]

_NAMES = r"((?:password|secret|scram_\w+_key)\s*=\s*)"
_IN_QUERY = re.compile(_NAMES + r"[^&]*", re.IGNORECASE)
_IN_PAIRS = re.compile(_NAMES + r"('(?:[^'\\]|\\.)*'?|(?:\\.|[^\\\s])*)", re.IGNORECASE | re.DOTALL)
_VALUES = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")


def redact(dsn: str) -> str:
    """Return the dsn without its passwords, however badly they are escaped."""
    scheme, separator, rest = dsn.partition("://")
    if not separator or re.search(r"[\s=]", scheme):
        return _IN_PAIRS.sub(r"\1***", dsn)
    account, at, host = rest.rpartition("@")
    if at:
        user, colon, _ = account.partition(":")
        rest = f"{user}{':***' if colon else ''}@{host}"
    return scheme + separator + _IN_QUERY.sub(r"\1***", rest)


def without_passwords(text: str, dsn: str) -> str:
    """Return what a driver says of a dsn without the passwords that it quotes."""
    for secret in sorted(_secrets(dsn), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _secrets(dsn: str) -> Iterator[str]:
    account = dsn.partition("://")[2].rpartition("@")[0]
    raw = account.partition(":")[2]
    if raw:
        yield raw
        yield unquote(raw)
    try:
        given = parse(dsn)
    except Malformed:
        return
    for name in _VALUES:
        if given.get(name):
            yield given[name]
