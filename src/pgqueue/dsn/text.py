"""A dsn taken apart and put together, as libpq does: a URI, or ``key=value`` pairs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, unquote

__all__ = ["SCHEMES", "Malformed", "is_hosts", "is_pairs", "is_uri", "parse", "to_uri"]

SCHEMES = ("postgresql", "postgres")
_PAIR = re.compile(
    r"\s*([A-Za-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*|)", re.DOTALL
)
_HOST = re.compile(r"(\[[^]@]*\]|[^:\[\]@]*)(?::(\d*))?")
_PORT = re.compile(r"[1-9]\d{0,4}", re.ASCII)
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Malformed(ValueError):
    """It cannot be taken apart. The text says nothing of it: there may be a password in it."""


def is_uri(dsn: str) -> bool:
    """True for ``postgresql://`` and ``postgres://``, in any case."""
    return dsn.partition("://")[0].lower() in SCHEMES and "://" in dsn


def is_pairs(dsn: str) -> bool:
    """True for ``key=value`` pairs, whatever is in the values: a URI has no = so early."""
    return re.match(r"[^:/?@=]*=", dsn) is not None


def is_hosts(text: str) -> bool:
    """True for ``host:port,host``: every port is one that can be, or not there."""
    found = map(_HOST.fullmatch, text.split(","))
    return all(one is not None and (not one[2] or _is_port(one[2])) for one in found)


def _is_port(digits: str) -> bool:
    return _PORT.fullmatch(digits) is not None and int(digits) < 65536


def parse(dsn: str) -> dict[str, str]:
    """Return the parameters of a dsn, as they are given; a later one of a name counts."""
    return dict(_uri(dsn)) if is_uri(dsn) else dict(_pairs(dsn))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _PAIR.match(text, at)
        if found is None:
            raise Malformed
        key, value = found.groups()
        if value.startswith("'"):
            value = value[1:-1]
        at = found.end()
        if at < end and not text[at].isspace():
            raise Malformed
        yield key, re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)


def _uri(dsn: str) -> Iterator[tuple[str, str]]:
    rest = dsn.partition("://")[2]
    authority, path, query = re.fullmatch(r"([^/?]*)(/[^?]*)?(?:\?(.*))?", rest, re.DOTALL).groups()  # type: ignore[union-attr]  # pyright: ignore
    account, at, hosts = authority.partition("@")
    if not at:
        account, hosts = "", authority
        if not is_hosts(hosts):  # a password, and the host was forgotten
            raise Malformed
    user, colon, password = account.partition(":")
    if user:
        yield "user", _decoded(user)
    if colon and password:
        yield "password", _decoded(password)
    found = [_HOST.fullmatch(host) for host in hosts.split(",")]
    if None in found:
        raise Malformed
    if hosts:
        names = [one[1].strip("[]") for one in found if one]
        ports = [one[2] or "" for one in found if one]
        if any(names):
            yield "host", ",".join(map(_decoded, names))
        if any(ports):
            yield "port", ",".join(ports)
    if path and path != "/":
        yield "dbname", _database(path[1:])
    for part in query.split("&") if query else ():
        key, separator, value = part.partition("=")
        if not key or not separator or "=" in value:
            raise Malformed
        yield _decoded(key), _decoded(value)


def _database(text: str) -> str:
    # word@host/name, behind a password with a slash in it. A name may have one of the two: as
    # libpq reads it, a@b is a database.
    if "/" in text.partition("@")[2]:
        raise Malformed
    return _decoded(text)


def _decoded(text: str) -> str:
    if _ESCAPE.search(text):
        raise Malformed
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Malformed from None


def to_uri(parameters: Mapping[str, str]) -> str:
    """Return a URI of these parameters: one form for all that a dsn is handed to."""
    rest = dict(parameters)
    hosts = rest.get("host", "").split(",")
    ports = rest.get("port", "").split(",")
    authority = ""
    if "password" not in rest or rest.get("user"):
        for key, before in (("user", ""), ("password", ":")):
            if rest.get(key):
                authority += before + quote(rest.pop(key), safe="")
    authority += "@" if authority else ""
    if len(hosts) == 1 and len(ports) == 1 and re.fullmatch(r"[\w.-]+", hosts[0], re.ASCII):
        authority += rest.pop("host")
        if ports[0]:
            authority += ":" + rest.pop("port")
    path = "/" + quote(rest.pop("dbname"), safe="") if rest.get("dbname") else ""
    query = "&".join(f"{key}={quote(value, safe='/,')}" for key, value in rest.items())
    return f"postgresql://{authority}{path}{'?' + query if query else ''}"
