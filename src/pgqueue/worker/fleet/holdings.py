"""What this worker holds, by its own account; what the database says beyond that is released.

A job counts as held while it waits or runs here, while its outcome is not written yet, and while
the claim that may take it is on its way. A claim's token is never used again. So a receipt that is
not held at some moment will never be held later, and if a look at the database that begins after
that moment still finds it, nobody will write its outcome: an answer was lost or could not be read,
a server forgot how the job ended, or somebody changed the row by hand.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgqueue.outcome import RELEASED, Dead, Outcome, Snoozed
from pgqueue.worker.neighbours import Outcomes, Room
from pgqueue.worker.receipt import Entry, entry_of

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["Holdings", "Receipts"]

log = logging.getLogger("pgqueue.worker")

Receipts = set[tuple[int, int]]
"""Job ids with the tokens of their claims."""


@dataclass(frozen=True, slots=True)
class _LostClaim:
    """A claim that may have been carried out, though none of its jobs arrived here."""

    worker: int
    over_at: float  # the server has given it up by then (monotonic seconds)
    outcome: Outcome


class Holdings:
    """Lives on the worker's loop; ``workers``, ``unsettled`` and ``at_rest`` may be read anywhere.

    ``runner`` says what waits or runs, ``completer`` what is not written yet.
    """

    def __init__(self, *, runner: Room, completer: Outcomes) -> None:
        self._runner = runner
        self._completer = completer
        self._claiming: set[int] = set()
        self._lost: dict[int, _LostClaim] = {}
        self._missing: Receipts = set()
        self._missing_at = 0.0
        self._closed = False
        self.at_rest = False  # nothing was held at the last look, and nothing came since

    # -- the claimer's

    def begin(self, token: int) -> None:
        """A claim is about to be sent."""
        self._claiming.add(token)

    def end(self, token: int, *, took: bool) -> None:
        """A claim is over: all that it took is held, or it is lost."""
        self._claiming.discard(token)
        if took:
            self.at_rest = False

    def lose(self, token: int, worker: int, seconds: float, outcome: Outcome = RELEASED) -> None:
        """Nobody knows what a claim took; the server may be at work on it for so many seconds.

        ``outcome``: what becomes of that.
        """
        self._lost[token] = _LostClaim(worker, time.monotonic() + seconds, outcome)
        self.at_rest = False

    # -- the stop's

    def close(self) -> None:
        """Nothing can be released any more: what is not settled by now is for others to find."""
        self._closed = True

    # -- the look's

    @property
    def unsettled(self) -> bool:
        """True while a claim is lost that may have taken jobs."""
        return bool(self._lost)

    @property
    def in_doubt(self) -> bool:
        """True while a look would tell more than the last one."""
        return bool(self._lost or self._missing)

    def workers(self, current: int | None) -> list[int]:
        """Return the ids under which this worker may hold jobs."""
        ids = {lost.worker for lost in tuple(self._lost.values())}
        return sorted(ids if current is None else {*ids, current})

    def compare(self, rows: Sequence[Record], began: float) -> None:
        """Release what ``rows`` say beyond what is held; the look was sent at ``began``.

        A job may have ended while the rows were on their way, so it is released only if it was
        missing here before the look began. A job that still runs here under another receipt waits.
        """
        if self._closed:
            return
        held = self._runner.receipts() | self._completer.receipts()
        ids = {job_id for job_id, _ in held}
        missing: Receipts = set()
        lost_jobs: list[Entry] = []
        strays: list[Entry] = []
        found: set[int] = set()
        for row in rows:
            receipt = job_id, token = row["id"], row["claim_token"]
            if job_id in ids or token in self._claiming:
                continue
            lost = self._lost.get(token)
            if lost is not None:
                found.add(token)
                lost_jobs.append(entry_of(row, token, lost.outcome))
            elif receipt in self._missing and began > self._missing_at:
                strays.append(entry_of(row, token, RELEASED))
            else:
                missing.add(receipt)
        self._missing, self._missing_at = missing, time.monotonic()
        for token, lost in tuple(self._lost.items()):
            if token in found or began > lost.over_at:
                del self._lost[token]
        self.at_rest = not (rows or held or self._claiming or self._lost)
        for entry in (*lost_jobs, *strays):
            self._completer.add(entry)
        _report(lost_jobs, strays)


def _report(lost_jobs: Sequence[Entry], strays: Sequence[Entry]) -> None:
    for entry in lost_jobs:
        match entry.outcome:
            case Dead(reason=reason):
                log.error('job %d of queue "%s" is dead: %s', entry.id, entry.queue, reason)
            case Snoozed(delay=delay):
                log.error(
                    'job %d of queue "%s" has no room in the memory of this process; '
                    "it waits for %.0f s",
                    entry.id, entry.queue, delay,
                )  # fmt: skip
            case _:
                pass
    released = sum(entry.outcome is RELEASED for entry in lost_jobs)
    if released:
        log.info("released %d jobs of a claim whose answer was lost", released)
    if strays:
        log.warning(
            "the database says that this worker holds %d jobs that it does not know of, such as "
            "job %d; they are released, and run again",
            len(strays), strays[0].id,
        )  # fmt: skip
