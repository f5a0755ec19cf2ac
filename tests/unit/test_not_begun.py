"""Which beginnings of a transaction may succeed later, and which fail for good."""

from __future__ import annotations

import errno

import asyncpg
import psycopg
import pytest

from pgqueue.db.faults import as_ours
from pgqueue.db.pool import Pool
from pgqueue.db.waits import NotBegun
from pgqueue.worker.run.not_begun import is_away_for_psycopg, not_begun

DSN = "postgresql://u@127.0.0.1:1/d"


def of(cause: Exception) -> Exception:
    error = as_ours(cause, DSN, connecting=True)
    error.__cause__ = cause
    return not_begun(error)


@pytest.mark.parametrize(
    "cause",
    [
        ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        psycopg.errors.AdminShutdown("terminating connection"),
        OSError(errno.EMFILE, "Too many open files"),
    ],
)
def test_a_server_that_is_away_may_come_back(cause: Exception) -> None:
    assert isinstance(of(cause), NotBegun)


@pytest.mark.parametrize(
    "cause",
    [
        asyncpg.InvalidPasswordError("password authentication failed"),
        psycopg.errors.InsufficientPrivilege("permission denied"),
        FileNotFoundError(errno.ENOENT, "No such file", "/nowhere/root.crt"),
    ],
)
def test_what_is_set_wrong_stays_so(cause: Exception) -> None:
    assert not isinstance(of(cause), NotBegun)


def test_the_other_driver_is_asked_where_psycopg_does_not_say_why() -> None:
    assert is_away_for_psycopg(
        Pool(DSN, schema="pgqueue"), psycopg.OperationalError("connection failed")
    )
