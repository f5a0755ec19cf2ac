"""Messages of several statements on a connection of psycopg: one round trip, without a cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgqueue.db.connect import is_readable

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["has_ended", "send"]


def send(connection: Connection[Any], text: str) -> str:
    """Run the statements of a text; return the last one's first value, or nothing.

    The server skips what stands behind a statement that failed. Raises errors of psycopg: an
    OperationalError without a code if the connection was lost.
    """
    from psycopg import OperationalError, pq
    from psycopg.errors import error_from_result

    own = connection.pgconn
    result = own.exec_(_encoded(text, connection))
    if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
        if own.status == pq.ConnStatus.BAD and not result.error_field(pq.DiagnosticField.SQLSTATE):
            raise OperationalError(own.get_error_message())
        raise error_from_result(result, encoding=connection.info.encoding)
    value = result.get_value(0, 0) if result.ntuples else None
    return "" if value is None else value.decode()


def has_ended(connection: Connection[Any]) -> bool:
    """True if the server has ended the session while nothing was asked."""
    from psycopg import OperationalError

    try:
        while is_readable(connection.fileno()):  # or it said something else, as of a setting
            connection.pgconn.consume_input()
    except OperationalError:
        return True
    return False


def _encoded(text: str, connection: Connection[Any]) -> bytes:
    if text.isascii():
        return text.encode()
    encoding = connection.info.encoding
    return text.encode("utf-8" if encoding == "ascii" else encoding)
