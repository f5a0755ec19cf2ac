"""The parameters of libpq, and what becomes of each: mapped, or refused by name with the remedy.

asyncpg sends what it does not know to the server as a setting, where it fails in other words.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Mapping

from pgqueue.errors import ConfigError, nearest

__all__ = ["ENVIRONMENT", "check_parameters"]

ENVIRONMENT = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
    "servicefile": "PGSERVICEFILE",
    "options": "PGOPTIONS",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "require_auth": "PGREQUIREAUTH",
    "requirepeer": "PGREQUIREPEER",
    "krbsrvname": "PGKRBSRVNAME",
    "gsslib": "PGGSSLIB",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
}
"""The variables that libpq reads where a dsn and its service say nothing."""

_ANY = {
    "host", "user", "password", "dbname", "passfile", "service", "servicefile", "options",
    "application_name", "fallback_application_name", "sslcert", "sslkey", "sslrootcert", "sslcrl",
    "sslpassword", "krbsrvname",
}  # fmt: skip
_NUMBERS = {
    "connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count",
    "tcp_user_timeout",
}  # fmt: skip
_HBA = "asyncpg cannot do that; leave it out, and restrict it in the server's pg_hba.conf"
_VERIFY = "asyncpg cannot do that; leave it out, and use sslmode=verify-full"
_LEAVE = "asyncpg cannot do that; leave it out"
_TLS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_CHOICES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "sslmode": (("disable", "allow", "prefer", "require", "verify-ca", "verify-full"), ""),
    "sslnegotiation": (("postgres", "direct"), ""),
    "ssl_min_protocol_version": (_TLS, ""),
    "ssl_max_protocol_version": (_TLS, ""),
    "target_session_attrs": (
        ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
        "",
    ),
    "load_balance_hosts": (("disable", "random"), ""),
    "gsslib": (("gssapi", "sspi"), ""),
    "keepalives": (("0", "1"), ""),
    "channel_binding": (("disable", "prefer"), _VERIFY),
    "gssencmode": (("disable", "prefer"), _VERIFY),
    "sslcompression": (("0", "1"), ""),
    "sslcertmode": (("allow",), _LEAVE),
    "sslsni": (("1",), _LEAVE),
    "gssdelegation": (("0",), _LEAVE),
    "min_protocol_version": (("3.0",), _LEAVE),
    "max_protocol_version": (("3.0", "3.2", "latest"), ""),
    "replication": (("false", "off", "no", "0"), "leave it out: jobs need a plain connection"),
}
_REFUSED = {
    "require_auth": _HBA,
    "requirepeer": "asyncpg cannot do that; leave it out, and connect to a socket in a directory "
    "that only the server may write to",
    "sslcrldir": "asyncpg cannot do that; use sslcrl=FILE",
    "sslkeylogfile": "asyncpg cannot do that; set SSLKEYLOGFILE in the environment",
    "scram_client_key": "asyncpg cannot do that; give the password",
    "scram_server_key": "asyncpg cannot do that; give the password",
    "oauth_issuer": _LEAVE,
    "oauth_client_id": _LEAVE,
    "oauth_client_secret": _LEAVE,
    "oauth_scope": _LEAVE,
}
_STRANGERS = {
    "pgbouncer": "say so in the program: App(dsn, pgbouncer=True)",
    "schema": "say so in the program: App(dsn, schema=...), or PGQUEUE_SCHEMA",
    "connection_limit": "say so in the program: App(dsn, pool_size=...)",
    "ssl": "use sslmode=require",
    "username": "use user=NAME",
    "timeout": "use connect_timeout=SECONDS",
}
_KNOWN = sorted({*_ANY, *_NUMBERS, *_CHOICES, *_REFUSED, "hostaddr", "port", "client_encoding"})


def check_parameters(given: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters by their right names; raise ConfigError for one that will not do."""
    checked: dict[str, str] = {}
    for name, value in map(_renamed, given.items()):
        _check(name, value)
        checked[name] = value
    hosts = checked.get("hostaddr", checked.get("host", ""))
    ports = checked.get("port", "")
    if "," in ports and ports.count(",") != hosts.count(","):
        raise ConfigError(
            f"the dsn names {hosts.count(',') + 1} hosts and {ports.count(',') + 1} ports "
            f'("{ports}"); give one port, or one for each host'
        )
    return checked


def _renamed(item: tuple[str, str]) -> tuple[str, str]:
    """Return what libpq makes of the names that drivers of other languages use."""
    match item:
        case ("ssl", "true" | "require") | ("requiressl", "1"):
            return "sslmode", "require"
        case ("requiressl", "0"):
            return "sslmode", "prefer"
        case ("database", name):
            return "dbname", name
        case _:
            return item


def _check(name: str, value: str) -> None:
    if "\0" in name + value:
        raise ConfigError(f"dsn parameter {name!r} holds a NUL character")
    if name not in _KNOWN:
        raise _unknown(name)
    if not value or name in _ANY:
        return
    if name in _REFUSED:
        raise ConfigError(f"dsn parameter {name} is not supported: {_REFUSED[name]}")
    if name in _NUMBERS:
        _check_number(name, value)
    elif name in _CHOICES:
        _check_choice(name, value)
    else:
        _FORMS[name](value)


def _check_number(name: str, value: str) -> None:
    if not re.fullmatch(r"\s*[+-]?\d+\s*", value):
        raise ConfigError(f'dsn parameter {name} must be a whole number, got "{value}"')


def _check_choice(name: str, value: str) -> None:
    allowed, remedy = _CHOICES[name]
    if value not in allowed:
        raise ConfigError(
            f'dsn parameter {name} must be {_listed(allowed)}, got "{value}"'
            + (f": {remedy}" if remedy else nearest(value, allowed))
        )


def _check_port(value: str) -> None:
    for port in value.split(","):
        if port and not (re.fullmatch(r"\d{1,5}", port, re.ASCII) and 0 < int(port) < 65536):
            raise ConfigError(f'dsn parameter port must be from 1 to 65535, got "{port}"')


def _check_hostaddr(value: str) -> None:
    for address in filter(None, value.split(",")):
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise ConfigError(
                f'dsn parameter hostaddr must be an IP address, got "{address}"; '
                "a name goes into host"
            ) from None


def _check_encoding(value: str) -> None:
    if value.lower().replace("-", "") not in {"utf8", "auto", "unicode"}:
        raise ConfigError(
            f'dsn parameter client_encoding must be UTF8, got "{value}"; leave it out: '
            "the server translates"
        )


_FORMS = {
    "port": _check_port,
    "hostaddr": _check_hostaddr,
    "client_encoding": _check_encoding,
}


def _listed(allowed: tuple[str, ...]) -> str:
    *others, last = allowed
    return f"{', '.join(others)} or {last}" if others else last


def _unknown(name: str) -> ConfigError:
    remedy = _STRANGERS.get(name)
    # Only what is nearly right is a slip: statement_timeout is not meant to be connect_timeout.
    close = difflib.get_close_matches(name, _KNOWN, n=1, cutoff=0.75)
    if remedy is None and close:
        remedy = f'did you mean "{close[0]}"?'
    elif remedy is None:
        remedy = (
            f"a setting of the server is written options=-c%20{name}%3DVALUE in a URI, "
            f"and options='-c {name}=VALUE' in key=value pairs"
        )
    return ConfigError(f'unknown dsn parameter "{name}"; {remedy}')
