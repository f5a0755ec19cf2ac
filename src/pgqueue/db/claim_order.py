"""The order of a claim. Its statement answers in the order of the table, which costs it least."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["put_in_order"]

_place = itemgetter("priority", "position")


def put_in_order(rows: list[Record], queues: Sequence[str]) -> None:
    """Sort claimed jobs by queue, as they were asked for, then by priority and by position."""
    if len(rows) < 2:
        return
    if len(queues) == 1:
        rows.sort(key=_place)
        return
    ranks = {queue: rank for rank, queue in enumerate(queues)}
    rows.sort(key=lambda row: (ranks[row["queue"]], *_place(row)))
