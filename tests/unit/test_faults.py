"""Errors of the system and of the driver, as users read them."""

from __future__ import annotations

import errno
import os
import resource

import asyncpg
import pytest

from pgqueue.db.faults import Contended, Meaning, Rejected, as_ours, meaning_of
from pgqueue.errors import DatabaseError, OutcomeUnknown, SchemaError, Unreachable

DSN = "postgresql://user:secret@host/name"


def system_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_no_descriptor_left_names_the_limit() -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    ours = as_ours(system_error(errno.EMFILE), DSN, connecting=True)
    assert isinstance(ours, Unreachable)
    assert f"no file descriptors left (limit {limit})" in str(ours)
    assert "ulimit -n" in str(ours)
    assert "secret" not in str(ours)


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENFILE, "this machine has no file descriptors left"), (errno.EACCES, "denied")],
)
def test_other_errors_of_the_system_say_what_they_are(number: int, said: str) -> None:
    assert said in str(as_ours(system_error(number), DSN, connecting=True))


@pytest.mark.parametrize(
    ("error", "meaning", "when_lost"),
    [
        # These mean the same, whether or not the connection ended.
        (asyncpg.IdleInTransactionSessionTimeoutError("x"), Meaning.TRANSACTION_ENDED, None),
        (asyncpg.InvalidSQLStatementNameError("x"), Meaning.PREPARED_ELSEWHERE, None),
        (asyncpg.DuplicatePreparedStatementError("x"), Meaning.PREPARED_ELSEWHERE, None),
        (asyncpg.ReadOnlySQLTransactionError("x"), Meaning.READ_ONLY, None),
        (asyncpg.UndefinedTableError("x"), Meaning.NO_SCHEMA, None),
        (asyncpg.UndefinedFunctionError("x"), Meaning.NO_SCHEMA, None),
        (asyncpg.UndefinedColumnError("x"), Meaning.NO_SCHEMA, None),
        (asyncpg.InvalidSchemaNameError("x"), Meaning.NO_SCHEMA, None),
        (asyncpg.AdminShutdownError("x"), Meaning.LOST, None),
        (asyncpg.InterfaceError("x"), Meaning.LOST, None),
        (asyncpg.InternalClientError("x"), Meaning.LOST, None),
        (ConnectionResetError("x"), Meaning.LOST, None),
        (OSError(errno.EHOSTUNREACH, "x"), Meaning.LOST, None),
        # These do not: the answer is the driver's own stumbling then.
        (asyncpg.DataError("x"), Meaning.REJECTED, Meaning.LOST),
        (asyncpg.UniqueViolationError("x"), Meaning.REJECTED, Meaning.LOST),
        (asyncpg.SyntaxOrAccessError("x"), Meaning.REJECTED, Meaning.LOST),
        (asyncpg.DataCorruptedError("x"), Meaning.REJECTED, Meaning.LOST),
        (ValueError("x"), Meaning.REJECTED, Meaning.LOST),
        (TypeError("x"), Meaning.REJECTED, Meaning.LOST),
        (asyncpg.LockNotAvailableError("x"), Meaning.CONTENDED, Meaning.LOST),
        (asyncpg.QueryCanceledError("x"), Meaning.CONTENDED, Meaning.LOST),
        (asyncpg.DeadlockDetectedError("x"), Meaning.FAILED, Meaning.LOST),
        (asyncpg.DiskFullError("x"), Meaning.FAILED, Meaning.LOST),
        (OSError(errno.EACCES, "x"), None, Meaning.LOST),
        (RuntimeError("x"), None, Meaning.LOST),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_an_error_means(
    error: Exception, meaning: Meaning | None, when_lost: Meaning | None
) -> None:
    assert meaning_of(error) == meaning
    assert meaning_of(error, lost=True) == (when_lost or meaning)


def test_each_meaning_has_an_error_of_ours() -> None:
    ours = {
        Meaning.TRANSACTION_ENDED: (asyncpg.IdleInTransactionSessionTimeoutError, DatabaseError),
        Meaning.PREPARED_ELSEWHERE: (asyncpg.DuplicatePreparedStatementError, DatabaseError),
        Meaning.READ_ONLY: (asyncpg.ReadOnlySQLTransactionError, DatabaseError),
        Meaning.NO_SCHEMA: (asyncpg.UndefinedTableError, SchemaError),
        Meaning.LOST: (ConnectionResetError, OutcomeUnknown),
        Meaning.REJECTED: (asyncpg.UniqueViolationError, Rejected),
        Meaning.CONTENDED: (asyncpg.LockNotAvailableError, Contended),
        Meaning.FAILED: (asyncpg.DiskFullError, DatabaseError),
    }
    assert set(ours) == set(Meaning)
    for meaning, (cause, kind) in ours.items():
        assert meaning_of(cause("x")) is meaning
        assert type(as_ours(cause("x"), DSN)) is kind
    strange = RuntimeError("x")
    assert as_ours(strange, DSN) is strange
