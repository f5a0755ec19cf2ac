"""Transactions of asyncpg that one message begins or ends together with other statements.

The driver counts a transaction as open from when its object was started until that was committed,
and asks it about savepoints. Here both are told of what the server has done already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncpg import Connection
    from asyncpg.transaction import Transaction

__all__ = ["begun", "committed"]


def begun(connection: Connection) -> Transaction:
    """Return the object of the transaction that a message has begun."""
    from asyncpg.transaction import TransactionState

    transaction: Any = connection.transaction()
    transaction._state = TransactionState.STARTED
    own: Any = connection
    own._top_xact = transaction
    return transaction  # type: ignore[no-any-return]


def committed(connection: Connection, transaction: Transaction) -> None:
    """Take in that a message has committed it."""
    from asyncpg.transaction import TransactionState

    ended: Any = transaction
    ended._state = TransactionState.COMMITTED
    own: Any = connection
    own._top_xact = None
