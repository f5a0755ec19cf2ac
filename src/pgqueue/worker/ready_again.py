"""Which jobs run again, of those whose outcomes were written."""

from __future__ import annotations

from collections.abc import Sequence

from pgqueue.outcome import RELEASED, RetryAt, Snoozed
from pgqueue.worker.receipt import Entry

__all__ = ["places_of", "soonest_of"]


def soonest_of(entries: Sequence[Entry]) -> float | None:
    """Return in how many seconds the first of those that were put off is due; None if none was."""
    return min(
        (e.outcome.delay for e in entries if isinstance(e.outcome, (RetryAt, Snoozed))),
        default=None,
    )


def places_of(entries: Sequence[Entry]) -> list[tuple[str, int]]:
    """Return queue and position of each job that was released and is ready."""
    return [(e.queue, e.position) for e in entries if e.outcome is RELEASED and e.position]
