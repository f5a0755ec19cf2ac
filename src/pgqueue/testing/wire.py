"""A connection that a test lends, of any driver, blocking or not, as one way to run statements.

All is written for ``await``. On a blocking connection nothing in it ever waits, so that ``at_once``
runs it without an event loop: there may be none, and Django refuses to be used inside of one.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from pgqueue.db.faults import Rejected
from pgqueue.db.literal import Value, written_out
from pgqueue.drivers import arun, run
from pgqueue.drivers.faults import sqlstate
from pgqueue.drivers.recognise import is_asynchronous, recognise
from pgqueue.errors import ConfigError
from pgqueue.testing.savepoint import Savepoint, savepoint_on

__all__ = ["Wire", "at_once"]

T = TypeVar("T")

# As in db/faults.py: the values of a statement were refused, or what the row holds.
_REFUSED = ("22", "23", "21", "42", "54", "P0", "XX")


class Wire:
    """Runs statements of ours by name. ``asynchronous``: whether ``await`` is what it is used with.

    Raises ConfigError for what is no connection, or the wrong sort of one.
    """

    def __init__(self, connection: object, schema: str, *, asynchronous: bool) -> None:
        if is_asynchronous(connection) is not asynchronous:
            kind = type(connection).__name__
            raise ConfigError(
                f'this {kind} is blocking: use it without "await", with drain() and not adrain()'
                if asynchronous
                else f"this {kind} is asynchronous: use it with the functions that are awaited, "
                "with adrain() and not drain()"
            )
        self.connection = connection
        self.schema = schema
        self.asynchronous = asynchronous
        module = recognise(connection, asynchronous=asynchronous)
        self.driver = module.__name__.rpartition(".")[2]

    async def rows(self, name: str, *values: Value) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows; Rejected where the database refuses a value."""
        sql = written_out(name, self.schema, *values)
        try:
            if self.asynchronous:
                return await arun(self.connection, sql)
            return run(self.connection, sql)
        except Exception as exc:
            state = sqlstate(exc)
            if state is not None and state[:2] in _REFUSED:
                raise Rejected(f"{exc} ({state})") from _origin(exc)
            raise

    def savepoint(self) -> Savepoint:
        """Return a savepoint in the transaction of the connection, if it is in one."""
        return savepoint_on(self.connection, self.driver, asynchronous=self.asynchronous)


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits to its end, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    coroutine.close()
    raise AssertionError("a statement on a blocking connection has waited")


def _origin(error: BaseException) -> BaseException:
    """Return the driver's own error, which others wrap: it has the state."""
    while error.__cause__ is not None and sqlstate(error.__cause__) is not None:
        error = error.__cause__
    return error
