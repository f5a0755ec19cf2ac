"""Workers' machines without their loops: each call is one statement, or one flush, to its end."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine
from typing import Any, TypeVar

from tests.db.hands import Hands, connect
from tests.harness.fakes import Said
from tests.model.ops import EVER

from pgqueue.db.link import Link, Watch
from pgqueue.db.store import Store
from pgqueue.outcome import RELEASED, Outcome
from pgqueue.worker.events import FinishEvent, NotOurs
from pgqueue.worker.finish.completer import Completer
from pgqueue.worker.fleet.rescue import rescue_workers
from pgqueue.worker.receipt import Entry, entry_of

__all__ = ["TASK", "Fleet"]

T = TypeVar("T")
TASK = "work"
LEASE = 15.0


class Fleet:
    """All on one link, since nothing here happens at the same time."""

    def __init__(self, dsn: str, queues: list[str], *, cap: int) -> None:
        self.queues = queues
        self.cap = cap
        self._runner = asyncio.Runner()
        self._link = Link(dsn, role="duties", watch=Watch(), deadline=30.0, pooled=False)
        self._store = Store(self._link, "pgqueue")
        self._hands: Hands = self._run(connect(dsn))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def sql(self, text: str, *args: Any) -> list[Any]:
        return self._run(self._hands.sql(text, *args))

    def register(self) -> int:
        """Enter a worker; return its id."""
        worker = secrets.randbits(62)
        self._run(self._hands.register(*self.queues, lease=LEASE, worker=worker))
        return worker

    def claim(self, worker: int, limit: int) -> tuple[int, list[Any]]:
        """Return the token and what it took."""
        token = secrets.randbits(62)
        n = len(self.queues)
        rows, busy = self._run(
            self._store.claim(self.queues, [limit] * n, [0] * 10 * n, [TASK], limit, worker, token)
        )
        assert not busy
        return token, rows

    def write(self, job_id: int, token: int, outcome: Outcome, attempt: int) -> bool:
        """Write an outcome as a worker does; False if the lease was lost."""
        return self._run(self._write(Entry(job_id, token, outcome, attempt=attempt)))

    async def _write(self, entry: Entry) -> bool:
        said = Said[FinishEvent]()
        completer = Completer(self._store, worker_name="w", events=said)
        completer.start()
        completer.add(entry)
        assert await completer.stop(30.0) == 0
        return NotOurs(entry.id) not in said

    def quarantine(self, job_id: int, token: int) -> bool:
        return self._run(self._store.quarantine(job_id, token, (None, None)))

    def give_up_claim(self, worker: int, token: int) -> int:
        """Release what a claim took whose answer was lost; return how many jobs."""
        cursors = [0] * 10 * len(self.queues)
        rows = self._run(self._store.held([worker], self.queues, cursors, [TASK], 0, None))
        taken = [entry_of(row, token, RELEASED) for row in rows if row["claim_token"] == token]
        return sum(self._run(self._write(entry)) for entry in taken)

    def renew(self, worker: int) -> tuple[bool, set[int]]:
        """Return whether it is registered, and what it is asked to cancel."""
        row = self._run(
            self._store.renew(worker, 1, False, None, None, True, 60.0, EVER, 0, 15, True, True)
        )
        return row["alive"], set(row["cancelled"])

    def rescue(self, worker: int, *, orphaned: bool = False) -> None:
        self._run(rescue_workers(self._store, [worker], crash_cap=self.cap, orphaned=orphaned))

    def orphans(self) -> set[int]:
        return set(self._run(self._store.orphans()))

    def promote(self) -> int:
        return len(self._run(self._store.promote(100, EVER)))

    def close(self) -> None:
        self._link.abort()
        self._hands.connection.terminate()
        self._run(asyncio.sleep(0))
        self._runner.close()
