"""What is left of a session and of the work when a call fails; no server is needed."""

from __future__ import annotations

import asyncpg
import pytest

from pgqueue.db.aftermath import Aftermath, aftermath
from pgqueue.errors import PoolTimeout

ALIVE = Aftermath(lost=False, unusable=False, undone=False)
UNUSABLE = Aftermath(lost=False, unusable=True, undone=False)
LOST = Aftermath(lost=True, unusable=True, undone=False)
UNDONE = Aftermath(lost=True, unusable=True, undone=True)


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize(
    ("error", "open_", "ended"),
    [
        # An answer leaves the session as it is; the next call sees whether it is closed.
        (asyncpg.UniqueViolationError("x"), ALIVE, ALIVE),
        (asyncpg.LockNotAvailableError("x"), ALIVE, ALIVE),
        (asyncpg.DataError("x"), ALIVE, ALIVE),
        (PoolTimeout("x"), ALIVE, ALIVE),
        # A session that cannot write may stay so when others can.
        (asyncpg.ReadOnlySQLTransactionError("x"), UNUSABLE, UNUSABLE),
        # These say that the session has ended.
        (asyncpg.AdminShutdownError("x"), LOST, LOST),
        (asyncpg.IdleInTransactionSessionTimeoutError("x"), LOST, LOST),
        (asyncpg.InterfaceError("x"), LOST, LOST),
        (ConnectionResetError("x"), LOST, LOST),
        # Nobody knows what these left of the protocol. On a closed connection the driver stumbles.
        (RuntimeError("x"), UNUSABLE, LOST),
        (AttributeError("x"), UNUSABLE, LOST),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_is_left(
    error: Exception, open_: Aftermath, ended: Aftermath, closed: bool, sent: bool
) -> None:
    left = aftermath(error, closed=closed, sent=sent)
    expected = ended if closed else open_
    assert left == (UNDONE if expected.lost and not sent else expected)
