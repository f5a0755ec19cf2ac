"""A dsn without its passwords, and a text without those of a dsn, however they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

from pgqueue.dsn.text import Malformed, is_hosts, is_pairs, parse

__all__ = ["redact", "redact_text", "without_passwords"]

_NAMES = r"((?:password|secret|scram_\w+_key)\s*=\s*)"
# A value ends where the next name begins: what stands between may be the rest of a password.
_IN_QUERY = re.compile(_NAMES + r".*?(?=&\w+=|\Z)", re.IGNORECASE | re.DOTALL)
# A quote that is closed too early, or never, hides all that follows.
_IN_PAIRS = re.compile(
    _NAMES + r"(?:'(?:[^'\\]|\\.)*'(?=\s|\Z)|'.*|(?:\\.|[^\\\s])*).*?(?=\s\w+\s*=|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_URI_IN_PAIRS = re.compile(r"(://[^\s:/@]*:)\S*(?=@)")
# In a sentence a value ends at a space.
_PAIR_IN_TEXT = re.compile(_NAMES + r"(?:'(?:[^'\\]|\\.)*'|[^\s&'\"]+)", re.IGNORECASE)
_ENDINGS = ":;,.!?)'\""
_VALUES = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")


def redact(dsn: str) -> str:
    """Return the dsn without its passwords, however badly they are escaped."""
    if is_pairs(dsn) or dsn.startswith("embedded:"):
        return _URI_IN_PAIRS.sub(r"\1***", _IN_PAIRS.sub(r"\1***", dsn))
    before, account, after = _split(_IN_QUERY.sub(r"\1***", dsn), readable=_readable(dsn))
    user, colon, _ = account.partition(":")
    return f"{before}{user}{':***' if colon else ''}{after}"


def _readable(dsn: str) -> bool:
    try:
        return bool(parse(dsn))
    except Malformed:
        return False


def _split(dsn: str, *, readable: bool) -> tuple[str, str, str]:
    """Return what is before ``user:password``, that, and what is after it, with its @.

    If the dsn cannot be read, the password may hold any character, and the @ may be missing.
    """
    scheme, separator, rest = dsn.partition("://")
    if not separator:
        scheme, rest = "", dsn
    place, mark, query = rest.partition("?") if readable else (rest, "", "")
    account, at, host = place.rpartition("@")
    if not at and not is_hosts(re.split(r"[/?]", place, maxsplit=1)[0]):
        account, host = place, ""
    return scheme + separator, account, at + host + mark + query


def redact_text(text: str, *dsns: str) -> str:
    """Return a text without the passwords of these dsns, and of whatever in it looks like one."""
    for dsn in dsns:
        text = text.replace(dsn, redact(dsn))
    return _PAIR_IN_TEXT.sub(r"\1***", re.sub(r"\S+", _redact_word, text))


def _redact_word(found: re.Match[str]) -> str:
    word = found.group()
    if "://" not in word and not ("@" in word and ":" in word):
        return word
    dsn = word.rstrip(_ENDINGS)  # of the sentence
    return redact(dsn) + word[len(dsn) :]


def without_passwords(text: str, dsn: str) -> str:
    """Return what a driver says of a dsn without the passwords that it quotes."""
    for secret in sorted(_secrets(dsn), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _secrets(dsn: str) -> Iterator[str]:
    account = "" if is_pairs(dsn) else _split(dsn, readable=_readable(dsn))[1]
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
