"""Cursors with psycopg's own conversions, whatever the connection's factories and adapters are.

Apart from the driver's file, since it loads psycopg.
"""

from __future__ import annotations

from typing import Any

from psycopg import (
    AsyncConnection,
    AsyncCursor,
    AsyncRawCursor,
    Connection,
    Cursor,
    RawCursor,
    adapters,
)
from psycopg.adapt import AdaptersMap
from psycopg.rows import DictRow, TupleRow, dict_row, tuple_row
from psycopg.types.bool import BoolLoader
from psycopg.types.numeric import IntLoader
from psycopg.types.string import StrDumper, TextLoader

__all__ = ["NamedAsyncCursor", "NamedCursor", "PlainAsyncCursor", "PlainCursor"]

_OURS = AdaptersMap(adapters)
_OURS.register_dumper(str, StrDumper)
_OURS.register_loader("bool", BoolLoader)
_OURS.register_loader("int8", IntLoader)
_OURS.register_loader("text", TextLoader)
_OURS.register_loader("json", TextLoader)
_OURS.register_loader("jsonb", TextLoader)


class PlainCursor(Cursor[TupleRow]):
    """A cursor for parameters of text and integers, and answers of text, bigint and boolean."""

    def __init__(self, connection: Connection[Any]) -> None:
        super().__init__(connection, row_factory=tuple_row)

    @property
    def adapters(self) -> AdaptersMap:
        """Ours, made once: registering them with each cursor was most of what a call cost."""
        return _OURS


class PlainAsyncCursor(AsyncCursor[TupleRow]):
    """The same on an asynchronous connection."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        super().__init__(connection, row_factory=tuple_row)

    @property
    def adapters(self) -> AdaptersMap:
        """Ours, made once."""
        return _OURS


class NamedCursor(RawCursor[DictRow]):
    """A cursor for ``$1``, ``$2``..., whose rows have names."""

    def __init__(self, connection: Connection[Any]) -> None:
        super().__init__(connection, row_factory=dict_row)

    @property
    def adapters(self) -> AdaptersMap:
        """Ours, made once."""
        return _OURS


class NamedAsyncCursor(AsyncRawCursor[DictRow]):
    """The same on an asynchronous connection."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        super().__init__(connection, row_factory=dict_row)

    @property
    def adapters(self) -> AdaptersMap:
        """Ours, made once."""
        return _OURS
