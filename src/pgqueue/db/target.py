"""Where a dsn leads, with what libpq adds to it: a service, the environment, the password file."""

from __future__ import annotations

import getpass
import logging
import os
import random
import ssl
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pgqueue.db.session import KEEPALIVE_OPTIONS
from pgqueue.dsn import ENVIRONMENT, check_parameters, find_password, parse, read_services
from pgqueue.errors import ConfigError, nearest

__all__ = ["Target", "keepalive_parameters", "resolve", "session_attributes"]

log = logging.getLogger("pgqueue.db")

_NO_FILE = "/dev/null/none"
# What asyncpg takes from a dsn alone.
_TLS = (
    "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "ssl_min_protocol_version",
    "ssl_max_protocol_version",
)  # fmt: skip
_SOCKET = {
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
    "tcp_user_timeout": "TCP_USER_TIMEOUT",
}
_warned: set[str] = set()


@dataclass(frozen=True, slots=True)
class Target:
    """What asyncpg is told; ``repr`` would show the password, so it has none."""

    arguments: Mapping[str, Any]
    settings: Mapping[str, str]
    """Settings that the session begins with."""
    connect_timeout: float | None
    socket_options: Mapping[str, int]
    """Options of TCP by their names in ``socket``; ``SO_KEEPALIVE`` 0 turns keepalives off."""

    def __repr__(self) -> str:
        return "<Target>"


def resolve(dsn: str) -> Target:
    """Return where to connect to. Reads files; raises ConfigError for what cannot be followed."""
    given = _complete(parse(dsn))
    if not given.get("user"):
        given["user"] = _user()
    given.setdefault("dbname", given["user"])
    hosts, ports = _places(given)
    arguments: dict[str, Any] = {
        "dsn": _tls_dsn(given),
        "user": given["user"],
        "database": given["dbname"],
        "password": _password(given, hosts, ports),
        "passfile": _NO_FILE,
        "host": hosts or None,
        "port": ports,
        "ssl": _ssl(given),
        "direct_tls": True if given.get("sslnegotiation") == "direct" else None,
        "target_session_attrs": _attributes(given, hosts),
        "krbsrvname": given.get("krbsrvname"),
        "gsslib": given.get("gsslib"),
    }
    timeout = int(given.get("connect_timeout") or 0)
    options = {
        name: int(given[key]) for key, name in _SOCKET.items() if int(given.get(key) or 0) > 0
    }
    if given.get("keepalives") == "0":
        options = {"SO_KEEPALIVE": 0}
    return Target(
        {name: value for name, value in arguments.items() if value is not None},
        {"options": given["options"]} if given.get("options") else {},
        float(max(2, timeout)) if timeout > 0 else None,
        options,
    )


def session_attributes(dsn: str) -> str | None:
    """Return which of several hosts will do; None if nobody asked, or there is one."""
    given = _complete(parse(dsn))
    return _attributes(given, _places(given)[0])


def keepalive_parameters(dsn: str) -> dict[str, int]:
    """Return libpq's parameters that make keepalives as frequent as ours, but for those given."""
    given = _complete(parse(dsn))
    return {
        key: KEEPALIVE_OPTIONS[name]
        for key, name in _SOCKET.items()
        if name in KEEPALIVE_OPTIONS and int(given.get(key) or 0) <= 0
    }


def _attributes(given: Mapping[str, str], hosts: list[str]) -> str | None:
    # A queue that cannot be written to is of no use, so the first host that answers will not do.
    return given.get("target_session_attrs") or ("read-write" if len(hosts) > 1 else None)


def _complete(given: dict[str, str]) -> dict[str, str]:
    """Return the parameters with those of the service, then of the environment."""
    environment = {
        name: value for name, variable in ENVIRONMENT.items() if (value := os.environ.get(variable))
    }
    given = {name: value for name, value in given.items() if value}
    service = given.get("service") or environment.get("service")
    if service:
        file = given.get("servicefile") or environment.get("servicefile")
        given = {**_of_service(service, file), **given}
    return check_parameters({**environment, **given})


def _of_service(name: str, file: str | None) -> dict[str, str]:
    known: list[str] = []
    looked: list[str] = []
    for path in _service_files(file):
        try:
            lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except OSError:
            continue
        looked.append(str(path))
        services = read_services(lines, str(path), name)
        if name in services:
            return services[name]
        known += services
    where = " or ".join(looked) or "a service file: there is none; set PGSERVICEFILE"
    raise ConfigError(f'service "{name}" is not in {where}{nearest(name, known)}')


def _service_files(file: str | None) -> Iterator[Path]:
    if file:
        yield Path(file)
    elif home := os.environ.get("HOME"):
        yield Path(home, ".pg_service.conf")
    yield Path(os.environ.get("PGSYSCONFDIR") or "/etc/postgresql-common", "pg_service.conf")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise ConfigError(
            f"the dsn names no user, and the user id {os.getuid()} of this process has no name; "
            "write postgresql://USER@HOST/DATABASE, or set PGUSER"
        ) from None


def _places(given: Mapping[str, str]) -> tuple[list[str], list[int]]:
    """Return hosts to connect to, none for the usual socket, and as many ports, or one."""
    hosts = given.get("host", "").split(",") if given.get("host") else []
    addresses = given.get("hostaddr", "").split(",") if given.get("hostaddr") else []
    if addresses and given.get("sslmode") == "verify-full":
        raise ConfigError(
            "dsn parameter hostaddr is not supported with sslmode=verify-full; leave it out, or "
            "use verify-ca"
        )
    if addresses and len(hosts) in (0, len(addresses)):
        hosts = [
            address or host for address, host in zip(addresses, hosts or addresses, strict=True)
        ]
    elif addresses:
        raise ConfigError(f"the dsn names {len(hosts)} hosts and {len(addresses)} hostaddr")
    ports = [int(port or 5432) for port in given.get("port", "").split(",")]
    if len(ports) < len(hosts):
        ports = ports * len(hosts)
    hosts = [host or "localhost" for host in hosts]
    if given.get("load_balance_hosts") == "random" and len(hosts) > 1:
        order = random.sample(range(len(hosts)), len(hosts))
        hosts, ports = [hosts[n] for n in order], [ports[n] for n in order]
    return hosts, ports


def _password(given: Mapping[str, str], hosts: list[str], ports: list[int]) -> str | None:
    if given.get("password"):
        return given["password"]
    home = os.environ.get("HOME")
    path = given.get("passfile") or (str(Path(home, ".pgpass")) if home else None)
    lines = _passfile(path) if path else []
    if not lines:
        return None
    names = given.get("host", "").split(",") if given.get("host") else hosts
    found = [
        find_password(
            lines,
            hosts=_names_of(host),
            port=str(port),
            database=given["dbname"],
            user=given["user"],
        )
        for host, port in zip(names or ["localhost"], ports, strict=False)
    ]
    if len(set(found)) > 1:
        raise ConfigError(
            f"{path} has different passwords for the hosts of the dsn; asyncpg tries one: give the "
            "hosts the same, or the password in the dsn"
        )
    return found[0]


def _names_of(host: str) -> tuple[str, ...]:
    return (host, "localhost") if host.startswith(("/", "@")) else (host or "localhost",)


def _passfile(path: str) -> list[str]:
    """Return the lines of a password file; none of one that others may read, as in libpq."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            _warn(path, "is not a plain file")
            return []
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            _warn(path, "can be read by others; its permissions should be u=rw (0600) or less")
            return []
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except OSError:
        return []


def _warn(path: str, why: str) -> None:
    if path not in _warned:
        _warned.add(path)
        log.warning("password file %s is not used: it %s", path, why)


def _tls_dsn(given: Mapping[str, str]) -> str | None:
    found = [
        f"{name}={quote(given[name], safe='')}"
        for name in _TLS
        if given.get(name) and not _is_system(given)
    ]
    return f"postgresql://?{'&'.join(found)}" if found else None


def _is_system(given: Mapping[str, str]) -> bool:
    return given.get("sslrootcert") == "system"


def _ssl(given: Mapping[str, str]) -> str | ssl.SSLContext | None:
    mode = given.get("sslmode")
    if not _is_system(given):
        return mode
    if mode not in (None, "verify-full"):
        raise ConfigError(f"sslrootcert=system needs sslmode=verify-full, got {mode}")
    context = ssl.create_default_context()
    if given.get("sslcert"):
        context.load_cert_chain(
            given["sslcert"], given.get("sslkey"), lambda: given.get("sslpassword", "")
        )
    return context
