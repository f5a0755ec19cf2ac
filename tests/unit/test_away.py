"""Which errors of a start are waited out, and which say that something is set wrong."""

from __future__ import annotations

import errno
import socket
import ssl

import asyncpg
import pytest

from pgqueue.db.away import is_away
from pgqueue.db.faults import as_ours
from pgqueue.errors import ConfigError, EmbeddedError, PoolTimeout, SchemaError

REFUSED = "[Errno 111] Connect call failed ('::1', 1), [Errno 111] Connect call failed"

AWAY: list[Exception] = [
    ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
    ConnectionResetError(errno.ECONNRESET, "reset"),
    FileNotFoundError(errno.ENOENT, "No such file or directory"),  # the server's socket
    OSError(errno.EHOSTUNREACH, "no route"),
    OSError(f"Multiple exceptions: {REFUSED}"),
    TimeoutError(),
    socket.gaierror(socket.EAI_AGAIN, "try again"),
    socket.gaierror(socket.EAI_NONAME, "not known"),
    ssl.SSLEOFError(8, "EOF in the handshake"),
    asyncpg.CannotConnectNowError("the database system is starting up"),
    asyncpg.AdminShutdownError("terminating connection"),
    asyncpg.TooManyConnectionsError("sorry, too many clients already"),
    asyncpg.ConnectionDoesNotExistError("closed in the middle"),
    asyncpg.ProtocolViolationError("server login has been failing, try again later"),
    asyncpg.TargetServerAttributeNotMatched("no host can write"),
]
WRONG: list[Exception] = [
    asyncpg.InvalidPasswordError("password authentication failed"),
    asyncpg.InvalidAuthorizationSpecificationError("no pg_hba.conf entry"),
    asyncpg.InvalidCatalogNameError('database "x" does not exist'),
    asyncpg.ProtocolViolationError("no such database: x"),
    asyncpg.ProtocolViolationError("unsupported startup parameter: tcp_keepalives_idle"),
    asyncpg.ClientConfigurationError("could not parse"),
    PermissionError(errno.EACCES, "Permission denied"),
    FileNotFoundError(errno.ENOENT, "No such file or directory", "/etc/root.crt"),
    ssl.SSLCertVerificationError(1, "certificate verify failed"),
    ConnectionError('PostgreSQL server at "h:5432" rejected SSL upgrade'),
    KeyError("getpwuid(): uid not found: 12345"),
    ValueError("not a dsn"),
]


def named(error: object) -> str:
    return f"{type(error).__name__}: {str(error)[:30]}"


def ours(cause: Exception) -> BaseException:
    """What a connection that fails by this raises."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        raise as_ours(cause, "postgresql://h/d", connecting=True) from cause
    return caught.value


@pytest.mark.parametrize("cause", AWAY, ids=named)
def test_what_may_heal_by_itself_is_waited_out(cause: Exception) -> None:
    assert is_away(ours(cause))


@pytest.mark.parametrize("cause", WRONG, ids=named)
def test_what_is_set_wrong_is_not(cause: Exception) -> None:
    assert not is_away(ours(cause))


@pytest.mark.parametrize("kind", [ConfigError, EmbeddedError, PoolTimeout, SchemaError])
def test_nor_what_is_no_error_of_a_connection(kind: type[Exception]) -> None:
    assert not is_away(kind("x"))
