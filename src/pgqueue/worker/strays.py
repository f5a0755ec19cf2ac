"""Jobs that a living worker holds on a server that has forgotten how they ended.

A standby that is promoted may have a job's claim and not its completion, and so may a server whose
disk lost what it had acknowledged. The worker has done with such a job and lives on, so
nobody rescues it. Once its server is another one, a worker asks what it holds there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from pgqueue.db.link import Patience
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError

__all__ = ["Receipts", "find_strays"]

_APART = 1.25

Receipts = set[tuple[int, int]]
"""Job ids with the tokens of their claims."""


async def find_strays(
    store: Store,
    lock: asyncio.Lock,
    worker: int,
    known: Callable[[], Awaitable[Receipts]],
    *,
    deadline: float,
) -> Receipts:
    """Return what the server says that this worker holds, and ``known`` does not have.

    It is asked twice, further apart than any statement lasts: what was claimed and not yet heard of
    at the first time is known, or given back, by the second.
    """
    strays: Receipts | None = None
    for wait in (0.0, _APART * deadline):
        await asyncio.sleep(wait)
        missing = await _held(store, lock, worker) - await known()
        strays = missing if strays is None else strays & missing
        if not strays:
            break
    return strays or set()


async def _held(store: Store, lock: asyncio.Lock, worker: int) -> Receipts:
    patience = Patience()
    while True:
        try:
            async with lock:
                return await store.held(worker)
        except PgQueueError:
            await asyncio.sleep(patience.delay())
