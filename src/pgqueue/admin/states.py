"""Where jobs are that an operation found not to be its own: asked anew, after the fact."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pgqueue.db.statements import statement

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["find_states"]


async def find_states(
    connection: Connection, schema: str, ids: Iterable[int]
) -> dict[int, tuple[str, int | None]]:
    """Return the state of each job, and the other live job that has its unique key.

    In a read committed transaction this sees what was committed while an earlier statement waited.
    """
    wanted = sorted(ids)
    if not wanted:
        return {}
    rows = await connection.fetch(statement("find_states", schema), wanted)
    return {row["id"]: (row["state"], row["holder"]) for row in rows}
