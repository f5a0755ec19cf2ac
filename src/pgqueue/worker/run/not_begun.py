"""Why no transaction could be begun: the server is away, and the job waits; or something is wrong.

What is set wrong (a password, a certificate, a right) stays so. Such a job fails, and its attempts
end; put off, it would come again for ever.
"""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

from pgqueue.db.away import is_away
from pgqueue.db.connect import open_connection
from pgqueue.db.faults import as_ours
from pgqueue.db.pool import Pool
from pgqueue.db.waits import NotBegun
from pgqueue.errors import PgQueueError, Unreachable

if TYPE_CHECKING:
    from psycopg import Error

__all__ = ["is_away_for_psycopg", "not_begun", "of_psycopg"]

_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)


def not_begun(error: Exception) -> Exception:
    """Return NotBegun where the same may succeed later, with nothing changed; else the error."""
    if isinstance(error, Unreachable) and _may_pass(error):
        return NotBegun(str(error))
    return error


def _may_pass(error: BaseException) -> bool:
    return is_away(error) or getattr(error.__cause__, "errno", None) in _NO_DESCRIPTORS


def is_away_for_psycopg(pool: Pool, error: Error) -> bool:
    """True if the server is away. Blocks: libpq does not say why it could not connect.

    Then asyncpg is asked, which tells what the server said. If it gets in, the server is there.
    """
    if error.sqlstate is not None:
        return is_away(of_psycopg(error, pool.dsn))
    try:
        asyncio.run(_connect(pool))
    except PgQueueError as exc:
        return _may_pass(exc)
    return False


def of_psycopg(error: Error, dsn: str) -> Exception:
    """Return the error of ours for a beginning that psycopg could not make."""
    ours = as_ours(error, dsn, connecting=True)
    ours.__cause__ = error
    return ours


async def _connect(pool: Pool) -> None:
    """Open a session, and end it."""
    connection = await open_connection(
        pool.source, name="pgqueue task", seconds=pool.deadline, settings={}, pooler=pool.pooler
    )
    try:
        await connection.close(timeout=pool.deadline)
    except Exception:  # it got in, which is all that was asked
        connection.terminate()
