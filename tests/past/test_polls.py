"""Family H, what starts together polls together."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from pgqueue import App, Worker
from pgqueue.db.store import Store
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, quick


async def test_past_bug_116_polls_of_a_fleet_spread(
    dsn: str, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty workers that were started in the same moment must not poll together for ever."""
    real = Store.claim
    moments: list[float] = []

    async def claim(self: Store, *args: Any, **options: Any) -> Any:
        moments.append(time.monotonic())
        return await real(self, *args, **options)

    monkeypatch.setattr(Store, "claim", claim)
    apps = [App(dsn) for _ in range(20)]
    workers: list[Worker] = []
    for app in apps:

        @app.task
        async def nothing() -> None: ...

        workers.append(Worker(app, **quick(poll_interval=0.4, heartbeat=0.45, lease=5.0)))
    try:
        await asyncio.gather(*[worker.start() for worker in workers])
        for worker in workers:
            worker._claimer._poll_at = 0.0
            worker._claimer._bell.set()
        polls = [worker._claimer._polls for worker in workers]
        await eventually(
            lambda: all(w._claimer._polls > n + 25 for w, n in zip(workers, polls, strict=True)),
        )

        def spread() -> bool:
            """After a pause of the whole machine all are overdue together, and spread again."""
            late = [moment for moment in moments if moment > moments[-1] - 2.0]
            most = max(sum(1 for m in late if 0 <= m - start < 0.1) for start in late)
            return most <= 14

        await eventually(spread)
    finally:
        await asyncio.gather(*[worker.stop() for worker in workers])
        for app in apps:
            await app.aclose()
