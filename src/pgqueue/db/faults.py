"""Errors of PostgreSQL and its driver, mapped to ours at one door."""

from __future__ import annotations

import contextlib
import errno
import resource

from pgqueue.config import redact
from pgqueue.errors import DatabaseError, OutcomeUnknown, PgQueueError, SchemaError, Unreachable

__all__ = ["Contended", "Rejected", "as_ours", "is_connection_loss", "is_read_only"]

_READ_ONLY = "25006"
_MISSING = frozenset({"42P01", "42883", "3F000", "42703"})
_LOSS = frozenset({"57P01", "57P02", "57P03", "57P05", "08000", "08003", "08006", "08007", "08P01"})
_ERRNOS = frozenset(
    {errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ENOTCONN}
)
# A statement that failed for what it held or came upon: trying the same again would fail again.
_DATA = ("22", "23", "21", "42", "54", "P0", "XX")
# A statement that waited too long: for a lock, or for its turn.
_WAITED = frozenset({"55P03", "57014"})


class Rejected(DatabaseError):
    """PostgreSQL refused the values of a statement; the same again will be refused again."""


class Contended(DatabaseError):
    """A statement waited too long, most likely for a row that somebody else has locked."""


def is_connection_loss(error: BaseException) -> bool:
    """True if the connection cannot be used after this error."""
    import asyncpg

    if isinstance(error, OSError) and not isinstance(error, asyncpg.InterfaceError):
        return isinstance(error, (ConnectionError, TimeoutError)) or error.errno in _ERRNOS
    return (
        isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError))
        and not isinstance(error, asyncpg.DataError)
    ) or getattr(error, "sqlstate", None) in _LOSS


def is_read_only(error: BaseException) -> bool:
    """True if the session cannot write: it may stay so when others can.

    A server that became a standby is left by that, and so is a default that the session began with.
    """
    return getattr(error, "sqlstate", None) == _READ_ONLY


def _without_password(text: str, dsn: str) -> str:
    """Return what libpq says of a dsn that it cannot take apart without what it quotes of it."""
    account = dsn.partition("://")[2].rpartition("@")[0]
    password = account.partition(":")[2]
    return text.replace(password, "***") if password else text


def _forget_detail(error: Exception) -> None:
    """Take the detail away: of a value that was refused it quotes the whole row, with its args."""
    if getattr(error, "detail", None) is not None:
        with contextlib.suppress(AttributeError):  # psycopg's is no attribute of the error itself
            error.detail = None  # type: ignore[attr-defined]


def _said(error: Exception) -> str:
    """Return what an error says; that there are no descriptors left, with the limit that it met."""
    text = str(error) or type(error).__name__
    match getattr(error, "errno", None):
        case errno.EMFILE:
            limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            return (
                f"this process has no file descriptor left: all {limit} are in use. Something "
                f"leaks them, or the limit is too low (ulimit -n, LimitNOFILE=): {text}"
            )
        case errno.ENFILE:
            return f"this machine has no file descriptor left (sysctl fs.file-max): {text}"
        case _:
            return text


def as_ours(error: Exception, dsn: str, *, connecting: bool = False) -> Exception:
    """Return the error of ours that says the same; raise it ``from`` the original."""
    import asyncpg

    _forget_detail(error)
    state = getattr(error, "sqlstate", None)
    text = _said(error)
    if isinstance(error, PgQueueError):
        return error
    if connecting:
        return Unreachable(f"cannot connect to {redact(dsn)}: {_without_password(text, dsn)}")
    if state in _MISSING:
        return SchemaError(f"{text}; is the schema there? run: pgqueue migrate")
    if isinstance(error, (asyncpg.DataError, ValueError, TypeError)) or (
        state is not None and state[:2] in _DATA
    ):
        return Rejected(f"{text} ({state})" if state else text)
    if is_connection_loss(error):
        return OutcomeUnknown(f"the connection to {redact(dsn)} was lost: {text}")
    if state in _WAITED:
        return Contended(f"{text} ({state})")
    if isinstance(error, asyncpg.PostgresError):
        return DatabaseError(f"{text} ({state})")
    return error
