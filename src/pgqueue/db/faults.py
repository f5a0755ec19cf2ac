"""Errors of PostgreSQL and its driver, mapped to ours at one door."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator

from pgqueue.dsn import redact, without_passwords
from pgqueue.errors import DatabaseError, OutcomeUnknown, PgQueueError, SchemaError, Unreachable

__all__ = [
    "Contended",
    "Rejected",
    "as_ours",
    "is_answer",
    "is_connection_loss",
    "is_of_the_row",
    "is_read_only",
]

_READ_ONLY = "25006"
_MISSING = frozenset({"42P01", "42883", "3F000", "42703"})
_LOSS = frozenset({"57P01", "57P02", "57P03", "57P05", "08000", "08003", "08006", "08007", "08P01"})
# The server ended the session, and with it a transaction of which nothing had been committed.
_TRANSACTION_ENDED = {
    "25P03": "idle_in_transaction_session_timeout: it waited too long between two statements",
    "25P04": "transaction_timeout: it took too long",
}
_ERRNOS = frozenset(
    {errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ENOTCONN}
)
# A statement that failed for what it held or came upon: trying the same again would fail again.
_DATA = ("22", "23", "21", "42", "54", "P0", "XX")
# A statement that waited too long: for a lock, or for its turn.
_WAITED = {
    "55P03": "it waited too long for a lock that another transaction holds; nothing was done",
    "57014": "it took too long, most likely behind a lock that another transaction holds, or "
    "somebody cancelled it; nothing was done",
}
# A statement that was prepared in a session, and executed in another one.
_PREPARED = frozenset({"26000", "42P05"})
_POOLER = (
    'App(dsn, pgbouncer=True) is for PgBouncer in transaction mode, pgbouncer="session" for its '
    "session mode"
)

# What is wrong with the row itself: its data, its size, or how it is stored.
_OF_THE_ROW = ("22", "54", "XX")


class Rejected(DatabaseError):
    """PostgreSQL refused the values of a statement; the same again will be refused again."""


class Contended(DatabaseError):
    """A statement waited too long, most likely for a row that somebody else has locked."""


def is_connection_loss(error: BaseException) -> bool:
    """True if the connection cannot be used after this error."""
    import asyncpg

    if isinstance(error, OSError) and not isinstance(error, asyncpg.InterfaceError):
        return isinstance(error, (ConnectionError, TimeoutError)) or error.errno in _ERRNOS
    state = getattr(error, "sqlstate", None)
    return (
        (
            isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError))
            and not isinstance(error, asyncpg.DataError)
        )
        or state in _LOSS
        or state in _TRANSACTION_ENDED
    )


def is_answer(error: Exception) -> bool:
    """True if the server or the driver said so, and not a signal's handler in mid-answer."""
    import asyncpg

    return isinstance(error, (asyncpg.PostgresError, asyncpg.InterfaceError, PgQueueError))


def is_read_only(error: BaseException) -> bool:
    """True if the session cannot write: it may stay so when others can.

    A server that became a standby is left by that, and so is a default that the session began with.
    """
    return getattr(error, "sqlstate", None) == _READ_ONLY


def _forget_detail(error: Exception) -> None:
    """Take the detail away: of a value that was refused it quotes the whole row, with its args."""
    if getattr(error, "detail", None) is not None:
        with contextlib.suppress(AttributeError):  # psycopg's is no attribute of the error itself
            error.detail = None  # type: ignore[attr-defined]


def as_ours(
    error: Exception,
    dsn: str,
    *,
    connecting: bool = False,
    lost: bool = False,
    standby: bool = False,
) -> Exception:
    """Return the error of ours that says the same; raise it ``from`` the original.

    ``lost``: the connection is known to have ended, whatever the driver says of it. ``standby``:
    the server is known to be one.
    """
    import asyncpg

    _forget_detail(error)
    state = getattr(error, "sqlstate", None)
    text = str(error) or type(error).__name__
    if isinstance(error, PgQueueError):
        return error
    if connecting:
        text = _why_not_connected(error) or without_passwords(text, dsn)
        return Unreachable(f"cannot connect to {redact(dsn)}: {text}")
    if state in _TRANSACTION_ENDED:
        return DatabaseError(
            f"the server ended this transaction and rolled it back, by its "
            f"{_TRANSACTION_ENDED[state]} ({state})"
        )
    if state in _PREPARED:
        return DatabaseError(
            f"{text} ({state}); if the dsn leads through a pooler, say so: {_POOLER}"
        )
    if state == _READ_ONLY:
        why = (
            "is a standby, which takes no writes; name the primary, or several hosts, of which "
            "the one that does is chosen"
            if standby
            else "is a standby, or sessions there are read-only (default_transaction_read_only)"
        )
        return DatabaseError(f"{text} ({state}): the server of {redact(dsn)} {why}")
    if state in _MISSING:
        return SchemaError(f"{text}; is the schema there? run: pgqueue migrate")
    unknown = OutcomeUnknown(f"the connection to {redact(dsn)} was lost: {text}")
    if lost:
        return unknown
    if isinstance(error, (asyncpg.DataError, ValueError, TypeError)) or (
        state is not None and state[:2] in _DATA
    ):
        return Rejected(f"{text} ({state})" if state else text)
    if is_connection_loss(error):
        return unknown
    if state in _WAITED:
        return Contended(f"{text} ({state}): {_WAITED[state]}")
    if isinstance(error, asyncpg.PostgresError):
        return DatabaseError(f"{text} ({state})")
    return error


def _why_not_connected(error: BaseException) -> str | None:
    """Return a better text for some errors of connecting."""
    import asyncpg

    text = str(error)
    if "unsupported startup parameter" in text:
        return f"{text}: the dsn leads through a pooler; {_POOLER}"
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return (
            "none of its hosts is as target_session_attrs wants it; with several hosts that is "
            "read-write if the dsn says nothing: all are standbys, or read-only"
        )
    for number in _errnos(error):
        if number == errno.EMFILE:
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            return (
                f"this process has no file descriptors left (limit {limit}); close what leaks "
                "them, or raise the limit (ulimit -n, LimitNOFILE)"
            )
        if number == errno.ENFILE:
            return "this machine has no file descriptors left (fs.file-max)"
    return None


def _errnos(error: BaseException | None) -> Iterator[int]:
    """Yield the numbers of the errors behind this one, and of one that is there to be had now.

    The resolver of names says something else where it cannot open its files.
    """
    while error is not None:
        for number in (errno.EMFILE, errno.ENFILE):
            if isinstance(error, OSError) and (
                error.errno == number or f"[Errno {number}]" in str(error)
            ):
                yield number
        error = error.__cause__ or error.__context__
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as exc:
        yield exc.errno or 0


def is_of_the_row(error: BaseException) -> bool:
    """True if a refusal is for what the row holds, and not by a rule or a trigger of somebody's."""
    state: str | None = getattr(error.__cause__, "sqlstate", None)
    return state is None or state[:2] in _OF_THE_ROW
