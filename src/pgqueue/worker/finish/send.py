"""Which statement writes a batch of outcomes."""

from __future__ import annotations

import logging

from pgqueue.db.store import Store
from pgqueue.worker.finish.batches import Batch, Buried, Ended, EndedInFlow, Returned
from pgqueue.worker.finish.rungs import DAMAGED, Rung

__all__ = ["columns_of", "send"]

log = logging.getLogger("pgqueue.worker")


async def send(store: Store, batch: Batch, worker: str) -> list[int] | None:
    """Write a batch once; return the ids whose receipt was good, None if all were.

    ``worker``: the name that stands beside the errors.
    """
    ids, tokens = columns_of(batch)
    match batch:
        case Ended() if batch.rung == Rung.WHOLE:
            return await store.finish(ids, tokens, batch.state)
        case EndedInFlow() if batch.first.rung == Rung.WHOLE:
            return await store.finish_in_flows(ids, tokens, batch.state, batch.used())
        case Ended() | EndedInFlow():
            rung = batch.rung if isinstance(batch, Ended) else batch.first.rung
            said, error, whole = batch.state, _damaged(worker), rung == Rung.NO_ERRORS
            how = "finish_damaged"
        case Returned():
            return await _release(store, batch, worker)
        case Buried() if batch.first.rung < Rung.NO_ERRORS:
            return await _bury(store, batch, worker)
        case Buried():
            (said,), (error,) = batch.reasons(), batch.errors(worker)
            error, whole = error or _damaged(worker), batch.first.rung == Rung.NO_ERRORS
            how = "bury_damaged"
    return await store.end_damaged(how, ids[0], tokens[0], said, error, whole=whole)


async def _release(store: Store, batch: Returned, worker: str) -> list[int]:
    values = *columns_of(batch), batch.delays(), batch.changes(), batch.errors(worker)
    if not batch.in_flow:
        return await store.release(*values)
    return await store.release_in_flows(*values, batch.used(), batch.held(), batch.holds_flow())


async def _bury(store: Store, batch: Buried, worker: str) -> list[int]:
    values = *columns_of(batch), batch.reasons(), batch.errors(worker)
    if not batch.in_flow:
        return await store.bury(*values)
    buried, halted = await store.bury_in_flows(*values, batch.used())
    for flow, key in halted:
        log.warning(
            'flow "%s": key "%s" stands still, since a job of it is dead and its jobs run in order',
            flow, key,
        )  # fmt: skip
    return buried


def columns_of(batch: Batch) -> tuple[list[int], list[int]]:
    """Return the ids and the tokens of a batch."""
    receipts = batch.receipts
    return [job_id for job_id, _ in receipts], [token for _, token in receipts]


def _damaged(worker: str) -> str:
    return DAMAGED.entry(attempt=0, worker=worker)
