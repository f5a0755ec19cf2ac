"""Writes what an attempt came to, in the test's transaction, as far down the ladder as it takes."""

from __future__ import annotations

from pgqueue.db.faults import Rejected
from pgqueue.errors import ConfigError
from pgqueue.outcome import Done
from pgqueue.testing.inline_store import InlineStore
from pgqueue.worker.finish.batches import Batch, batches_of, cancelled
from pgqueue.worker.finish.ladder import Again, Less, next_step
from pgqueue.worker.finish.send import send
from pgqueue.worker.receipt import Entry

__all__ = ["WORKER", "write"]

WORKER = "drain"
"""What stands beside the errors of these jobs in place of a worker's name."""


async def write(store: InlineStore, entry: Entry) -> None:
    """Write an outcome. ConfigError if the claim is not in the transaction any more."""
    if await _write(store, batches_of([entry])[0]):
        return
    # It was asked to stop while it failed, which ends it.
    if isinstance(entry.outcome, Done) or not await _write(store, cancelled([entry])):
        raise ConfigError(
            f"the claim of job {entry.id} ({entry.task}) is not in this transaction any more: the "
            "task has rolled it back, or deleted the job; let it use a savepoint of its own"
        )


async def _write(store: InlineStore, batch: Batch) -> bool:
    refusals = 0
    while True:
        savepoint = store.wire.savepoint()
        await savepoint.begin()
        try:
            good = await send(store, batch, WORKER)
        except Rejected as exc:
            await savepoint.go_back()
            match next_step(batch, exc, refusals):
                case Again():
                    await store.ensure_history()  # a day without a partition
                case Less(less):
                    batch = less
                case _:
                    raise
            refusals += 1
        else:
            await savepoint.end()
            return good is None or bool(good)
