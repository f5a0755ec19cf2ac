"""A savepoint on a connection of any driver, to go back to only where the transaction is broken.

A task that fails in a test shares the test's transaction. What it did stays, as what it has
committed stays in production. After an error of the database there is nothing left but to go back.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from pgqueue.drivers.faults import sqlstate
from pgqueue.errors import ConfigError

__all__ = ["Savepoint", "savepoint_on"]

_NAME = "pgqueue_attempt"
_NO_TRANSACTION = "25P01"


class Savepoint(Protocol):
    """Where the connection is in no transaction, none of these does anything."""

    async def begin(self) -> None:
        """Set it."""
        ...

    async def end(self) -> None:
        """Keep what was done since; where the transaction is broken, go back."""
        ...

    async def go_back(self) -> None:
        """Undo what was done since."""
        ...


def savepoint_on(connection: Any, driver: str, *, asynchronous: bool) -> Savepoint:
    """Return a savepoint for this connection. ``driver``: the name of its module in drivers."""
    if driver == "sqlalchemy":
        if hasattr(connection, "flush"):  # a Session: its own state has to go back as well
            return _OfSession(connection)
        return _InSql(connection.exec_driver_sql)
    if driver == "django":
        return _OfDjango(connection)
    return _InSql(connection.execute if asynchronous else _by_cursor(connection))


def _by_cursor(connection: Any) -> Callable[[str], Any]:
    def execute(sql: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql)

    return execute


async def _waited(answer: Any) -> Any:
    return await answer if inspect.isawaitable(answer) else answer


class _InSql:
    """In plain SQL."""

    def __init__(self, execute: Callable[[str], Any]) -> None:
        self._execute = execute
        self._set = False

    async def begin(self) -> None:
        try:
            await _waited(self._execute(f"savepoint {_NAME}"))
        except Exception as exc:
            if sqlstate(exc) != _NO_TRANSACTION:
                raise
        else:
            self._set = True

    async def end(self) -> None:
        if self._set:
            try:
                await _waited(self._execute(f"release savepoint {_NAME}"))
            except Exception:
                await self.go_back()

    async def go_back(self) -> None:
        if self._set:
            try:
                await _waited(self._execute(f"rollback to savepoint {_NAME}"))
                await _waited(self._execute(f"release savepoint {_NAME}"))
            except Exception as exc:
                raise ConfigError(
                    "the task has ended the transaction of the test, by a commit or a rollback on "
                    "the connection that the test lends; let the task use a savepoint there"
                ) from exc


class _OfDjango(_InSql):
    """On a connection of Django, which takes no statement once it was told that all is lost."""

    def __init__(self, connection: Any) -> None:
        super().__init__(_by_cursor(connection))
        self._wrapper = connection

    async def go_back(self) -> None:
        self._wrapper.needs_rollback = False
        await super().go_back()


class _OfSession:
    """Of a Session or an AsyncSession: a failed flush takes its innermost transaction with it."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._nested: Any = None

    async def begin(self) -> None:
        nested = self._session.begin_nested()
        self._nested = await nested if inspect.isawaitable(nested) else nested

    async def end(self) -> None:
        if self._nested.is_active and await self._takes_statements():
            with suppress(Exception):  # what is to be flushed now may not fit
                await _waited(self._nested.commit())
                return
        await self.go_back()

    async def _takes_statements(self) -> bool:
        """True if no statement broke the transaction: the session itself does not hear of that."""
        try:
            connection = await _waited(self._session.connection())
            await _waited(connection.exec_driver_sql(f"savepoint {_NAME}"))
        except Exception:
            return False
        return True

    async def go_back(self) -> None:
        with suppress(Exception):
            await _waited(self._nested.rollback())
