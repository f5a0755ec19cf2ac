"""Errors of PostgreSQL and its driver, mapped to ours at one door."""

from __future__ import annotations

import contextlib
import errno
from enum import Enum, auto
from typing import Any

from pgqueue.db.not_connected import POOLER, why_not_connected
from pgqueue.dsn import redact
from pgqueue.errors import DatabaseError, OutcomeUnknown, PgQueueError, SchemaError, Unreachable

__all__ = [
    "Contended",
    "Meaning",
    "Rejected",
    "as_ours",
    "is_answer",
    "is_connection_loss",
    "is_of_the_row",
    "is_read_only",
    "meaning_of",
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
# Whether the server is known to be a standby.
_READS_ONLY = {
    True: "is a standby, which takes no writes; name the primary, or several hosts, of which the "
    "one that does is chosen",
    False: "is a standby, or sessions there are read-only (default_transaction_read_only)",
}

# What is wrong with the row itself: its data, its size, or how it is stored.
_OF_THE_ROW = ("22", "54", "XX")


class Meaning(Enum):
    """What an error of the server or of its driver means for the caller of a statement."""

    TRANSACTION_ENDED = auto()
    PREPARED_ELSEWHERE = auto()
    READ_ONLY = auto()
    NO_SCHEMA = auto()
    LOST = auto()
    REJECTED = auto()
    CONTENDED = auto()
    FAILED = auto()


# These mean the same in any case. What else the server says counts only if it could be heard.
_MEANINGS = {
    **dict.fromkeys(_TRANSACTION_ENDED, Meaning.TRANSACTION_ENDED),
    **dict.fromkeys(_PREPARED, Meaning.PREPARED_ELSEWHERE),
    _READ_ONLY: Meaning.READ_ONLY,
    **dict.fromkeys(_MISSING, Meaning.NO_SCHEMA),
}


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


def meaning_of(error: Exception, *, lost: bool = False) -> Meaning | None:
    """Return what an error of the server or of the driver means; None if it is of neither.

    ``lost``: see ``as_ours``.
    """
    import asyncpg

    state: str = getattr(error, "sqlstate", None) or ""
    if (known := _MEANINGS.get(state)) is not None:
        return known
    if lost:
        return Meaning.LOST
    refused = isinstance(error, (asyncpg.DataError, ValueError, TypeError))
    if refused or state[:2] in _DATA:
        return Meaning.REJECTED
    if is_connection_loss(error):
        return Meaning.LOST
    if state in _WAITED:
        return Meaning.CONTENDED
    return Meaning.FAILED if isinstance(error, asyncpg.PostgresError) else None


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
    _forget_detail(error)
    if isinstance(error, PgQueueError):
        return error
    if connecting:
        return Unreachable(f"cannot connect to {redact(dsn)}: {why_not_connected(error, dsn)}")
    text = str(error) or type(error).__name__
    state: Any = getattr(error, "sqlstate", None)
    said = f"{text} ({state})"
    match meaning_of(error, lost=lost):
        case Meaning.TRANSACTION_ENDED:
            return DatabaseError(
                "the server ended this transaction and rolled it back, by its "
                f"{_TRANSACTION_ENDED[state]} ({state})"
            )
        case Meaning.PREPARED_ELSEWHERE:
            return DatabaseError(f"{said}; if the dsn leads through a pooler, say so: {POOLER}")
        case Meaning.READ_ONLY:
            return DatabaseError(f"{said}: the server of {redact(dsn)} {_READS_ONLY[standby]}")
        case Meaning.NO_SCHEMA:
            return SchemaError(f"{text}; is the schema there? run: pgqueue migrate")
        case Meaning.LOST:
            return OutcomeUnknown(f"the connection to {redact(dsn)} was lost: {text}")
        case Meaning.REJECTED:
            return Rejected(said if state else text)
        case Meaning.CONTENDED:
            return Contended(f"{said}: {_WAITED[state]}")
        case Meaning.FAILED:
            return DatabaseError(said)
        case None:
            return error


def is_of_the_row(error: BaseException) -> bool:
    """True if a refusal is for what the row holds, and not by a rule or a trigger of somebody's."""
    state: str | None = getattr(error.__cause__, "sqlstate", None)
    return state is None or state[:2] in _OF_THE_ROW
