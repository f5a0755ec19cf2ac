"""The statements of a worker on the connection of a test."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from pgqueue.db.literal import Value
from pgqueue.db.store import Store
from pgqueue.running import RunningJob
from pgqueue.testing.wire import Wire

__all__ = ["InlineStore"]

_PROMOTED_AT_ONCE = 1_000
_ANY = "-infinity"


class _Row(tuple[Any, ...]):
    """The row of a statement that answers one column, which has a name."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(0 if isinstance(key, str) else key)


class InlineStore(Store):
    """What a worker sends, sent by name on a lent connection. Its own id is in no table.

    Answers come as driver and conversions of the connection make them: of those that have more than
    ids in them, a statement of our own asks for one document. ``flows``: those of the app, as they
    are stored; no worker has declared them.
    """

    def __init__(  # no link: each statement goes through _rows
        self, wire: Wire, flows: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self.wire = wire
        self._ordered = [name for name, flow in flows.items() if flow.get("ordered")]
        self._halting = [name for name in self._ordered if flows[name]["on_dead"] == "halt"]
        self.schema = wire.schema
        self.turn = asyncio.Lock()
        self._worker = _number()

    async def _rows(self, name: str, *args: Any) -> list[Any]:
        return [_Row(row) for row in await self.wire.rows(name, *args)]

    async def take_one(
        self, queues: Sequence[str], tasks: Sequence[str]
    ) -> tuple[dict[str, Any], int] | None:
        """Claim the job that is next, and return it with the token of the claim; None: none is due.

        ``queues``: none for all in which such a job waits.
        """
        for queue in await self.ready_queues(queues, tasks):
            token = _number()
            values: tuple[Value, ...] = (
                [queue], [1], [0] * 10, tasks, 1, self._worker, token, True, 0,
            )  # fmt: skip
            taken = await self.wire.rows("claim_jobs", *values)
            if taken:  # others may have locked it, or the queue is paused
                return await self._read(taken[0][0], token), token
        return None

    async def _read(self, job_id: int, token: int) -> dict[str, Any]:
        ((text,),) = await self.wire.rows("read_job", job_id, token)
        record: dict[str, Any] = json.loads(text)
        return record

    async def complete(self, job: RunningJob) -> bool:
        """Move a job to history, as its handler asks for it; False if its claim is gone."""
        if job.flow is None:
            return await self.finish([job.id], [job.token], "completed") is None
        used = [job.used]
        return await self.finish_in_flows([job.id], [job.token], "completed", used) is None

    async def ready_queues(self, queues: Sequence[str], tasks: Sequence[str]) -> list[str]:
        """Return those of the queues in which a job of these tasks waits; of all, if none given.

        Due jobs are made ready first, and those of flows whatever their limits.
        """
        await self.wire.rows("promote_jobs", _PROMOTED_AT_ONCE, _ANY)
        await self.wire.rows("place_lines", list(tasks), self._ordered, self._halting)
        ready = [row[0] for row in await self.wire.rows("find_ready_queues", tasks)]
        return [queue for queue in ready if not queues or queue in queues]


def _number() -> int:
    return random.getrandbits(62) + 1
