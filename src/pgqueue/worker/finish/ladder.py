"""What follows on a write that failed, as a table: the batch and its error give the next step.

| batch | error | next step |
|---|---|---|
| any | neither refused nor held up: no connection, no answer | `Again`: all of it, after a pause |
| of several jobs | refused, or held up by a lock | `OneByOne`: a batch for each |
| of one job | held up by a lock | `SetAside` for 1 s |
| of one job that ends | refused for the first or second time | `Again` |
| of one job | refused, and there is less to write | `Less`: the next rung (rungs.py) |
| of one job | refused, and there is no less | `SetAside` for 10 s |

``Again`` tells whether the write may have been done, though its answer was lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pgqueue.db.faults import Contended, Rejected, is_of_the_row
from pgqueue.errors import OutcomeUnknown
from pgqueue.worker.finish.batches import Batch, Buried, Ended, EndedInFlow, Returned
from pgqueue.worker.finish.rungs import Rung, next_rung
from pgqueue.worker.receipt import Entry
from pgqueue.worker.timings import TIMINGS, WriteTimings

__all__ = ["Again", "Less", "OneByOne", "SetAside", "Step", "next_step"]

_TRIES_WHOLE = 2


@dataclass(frozen=True, slots=True)
class Again:
    """Write the same once more after a pause."""

    uncertain: bool = False


@dataclass(frozen=True, slots=True)
class OneByOne:
    """Write each job by itself."""

    batches: Sequence[Batch]


@dataclass(frozen=True, slots=True)
class Less:
    """Write this, which leaves something out."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class SetAside:
    """Write this one later, and let the others pass."""

    entry: Entry
    seconds: float


Step = Again | OneByOne | Less | SetAside


def next_step(
    batch: Batch, error: Exception, refusals: int, timings: WriteTimings = TIMINGS.writes
) -> Step:
    """Return what to do with a batch after this error, and so many refusals before it."""
    if not isinstance(error, (Rejected, Contended)):
        return Again(uncertain=isinstance(error, OutcomeUnknown))
    if len(batch) > 1:
        return OneByOne(batch.singles())
    if isinstance(error, Contended):
        return SetAside(batch.first, timings.locked)
    if isinstance(batch, (Ended, EndedInFlow)) and refusals < _TRIES_WHOLE:
        return Again()
    less = _less(batch, error)
    return SetAside(batch.first, timings.refused) if less is None else Less(less)


def _less(batch: Batch, error: Exception) -> Batch | None:
    match batch:
        case Ended():
            if batch.rung >= Rung.NO_ARGUMENTS or not is_of_the_row(error):
                return None
            return replace(batch, rung=max(batch.rung + 1, Rung.NO_ERRORS))
        case EndedInFlow():
            rung = batch.first.rung
            if rung >= Rung.NO_ARGUMENTS or not is_of_the_row(error):
                return None
            return EndedInFlow([replace(batch.first, rung=max(rung + 1, Rung.NO_ERRORS))])
        case Returned():
            entry = next_rung(batch.first, error)
            return None if entry is None else Returned([entry])
        case Buried():
            entry = next_rung(batch.first, error)
            return None if entry is None else Buried([entry])
