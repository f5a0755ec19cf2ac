"""Enqueues: a row for each file and, in the same transaction, its job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pgqueue.demo.names import LARGE
from pgqueue.demo.statements import sql
from pgqueue.demo.tasks import app, measure

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["CHUNK", "Producer"]

CHUNK = 250
_POISON_ATTEMPTS = 3


class Producer:
    """Enqueues the files of a tenant, in chunks; ``poison`` is the one that will raise."""

    def __init__(
        self,
        connection: Connection,
        paths: Sequence[str],
        *,
        tenant: str = LARGE,
        poison: str | None = None,
    ) -> None:
        self._connection = connection
        self._paths = paths
        self._tenant = tenant
        self._poison = poison
        self.enqueued = 0

    @property
    def total(self) -> int:
        """How many files it has."""
        return len(self._paths)

    async def enqueue(self, up_to: int | None = None) -> None:
        """Enqueue files until so many are, or all."""
        end = len(self._paths) if up_to is None else min(up_to, len(self._paths))
        while self.enqueued < end:
            chunk = self._paths[self.enqueued : min(end, self.enqueued + CHUNK)]
            await self._enqueue(chunk)
            self.enqueued += len(chunk)

    async def _enqueue(self, chunk: Sequence[str]) -> None:
        """Both or neither: a row without its job, or a job without its row, cannot be."""
        async with self._connection.transaction():
            rows = await self._connection.fetch(sql("add_files"), chunk, self._tenant, self._poison)
            await app.aenqueue_many(
                (
                    (
                        measure.using(max_attempts=_POISON_ATTEMPTS) if row["poison"] else measure
                    ).job(row["id"], row["path"], self._tenant, row["poison"])
                    for row in rows
                ),
                connection=self._connection,
            )
