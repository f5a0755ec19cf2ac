"""Which statement writes a batch of outcomes."""

from __future__ import annotations

from pgqueue.db.store import Store
from pgqueue.worker.finish.batches import Batch, Buried, Ended, Returned
from pgqueue.worker.finish.rungs import DAMAGED, Rung

__all__ = ["columns_of", "send"]


async def send(store: Store, batch: Batch, worker: str) -> list[int] | None:
    """Write a batch once; return the ids whose receipt was good, None if all were.

    ``worker``: the name that stands beside the errors.
    """
    ids, tokens = columns_of(batch)
    match batch:
        case Ended(_, state, rung) if rung == Rung.WHOLE:
            return await store.finish(ids, tokens, state)
        case Ended(_, state, rung):
            said, error, whole = state, _damaged(worker), rung == Rung.NO_ERRORS
            how = "finish_damaged"
        case Returned():
            return await store.release(
                ids, tokens, batch.delays(), batch.changes(), batch.errors(worker)
            )
        case Buried() if batch.first.rung < Rung.NO_ERRORS:
            return await store.bury(ids, tokens, batch.reasons(), batch.errors(worker))
        case Buried():
            (said,), (error,) = batch.reasons(), batch.errors(worker)
            error, whole = error or _damaged(worker), batch.first.rung == Rung.NO_ERRORS
            how = "bury_damaged"
    return await store.end_damaged(how, ids[0], tokens[0], said, error, whole=whole)


def columns_of(batch: Batch) -> tuple[list[int], list[int]]:
    """Return the ids and the tokens of a batch."""
    receipts = batch.receipts
    return [job_id for job_id, _ in receipts], [token for _, token in receipts]


def _damaged(worker: str) -> str:
    return DAMAGED.entry(attempt=0, worker=worker)
