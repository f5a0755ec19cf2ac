"""Whether a claimed job may run. Most may; a few rows need a look, at the database too.

A job is refused that has no attempts left, that somebody cancelled, that is not this worker's any
more, or whose arguments cannot be had or do not fit. One that crashed its workers is marked first.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pgqueue.errors import PayloadError
from pgqueue.outcome import CANCELLED, RELEASED, Dead, Snoozed
from pgqueue.worker.lease import Lease
from pgqueue.worker.put_off import PUT_OFF, PutOff
from pgqueue.worker.run.buffer import is_quarantined
from pgqueue.worker.run.expiry import Expiry, seconds_left
from pgqueue.worker.run.large import LargeJobs
from pgqueue.worker.run.marks import Marks
from pgqueue.worker.run.misfits import Misfits
from pgqueue.worker.run.verdict import Verdict

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["Admission", "Refused"]

_INTERRUPTED = (
    "nobody knows how its last attempt ended: its worker died, stopped or lost it while it ran, "
    'and on_crash is "dead"'
)


class Refused(Exception):
    """A job is not run. ``verdict``: what becomes of it; None if that is not ours to say."""

    def __init__(self, verdict: Verdict | None) -> None:
        super().__init__(verdict)
        self.verdict = verdict


class Admission:
    """Looks into claimed jobs before they run, and raises Refused.

    ``put_off``: for how long a job is that others should have.
    """

    def __init__(
        self,
        *,
        marks: Marks,
        large: LargeJobs,
        misfits: Misfits,
        lease: Lease,
        put_off: PutOff = PUT_OFF,
    ) -> None:
        self._marks = marks
        self._large = large
        self._misfits = misfits
        self._lease = lease
        self.put_off = put_off
        self._expiry = Expiry()

    async def admit(self, record: Record, token: int) -> Record:
        """Return the job with its arguments, which its claim may have left out."""
        if record["attempt"] - record["crash_count"] > record["max_attempts"]:
            raise Refused(Verdict(Dead("it had no attempts left when it was claimed", None)))
        match record["refused"]:
            case "cancelled":
                raise Refused(Verdict(CANCELLED))
            case "expired":
                raise Refused(Verdict(CANCELLED, expired=True))
            case "interrupted":
                raise Refused(Verdict(Dead(_INTERRUPTED, None)))
            case str() as left:
                self._expect_time(left, token)
            case _:
                pass
        if is_quarantined(record):
            self._go_on(await self._marks.quarantine(record["id"], token))
        return record if record["args"] is not None else await self._read(record, token)

    def claimed(self, token: int) -> None:
        """Note that a claim was answered just now."""
        self._expiry.claimed(token, time.monotonic())

    def _expect_time(self, left: str, token: int) -> None:
        seconds = seconds_left(left)
        if seconds is not None and self._expiry.is_over(seconds, token, time.monotonic()):
            raise Refused(Verdict(RELEASED))

    async def _read(self, record: Record, token: int) -> Record:
        whole = await self._large.read(record["id"], token)
        if whole is None:
            raise Refused(None)
        if isinstance(whole, (Dead, Snoozed)):
            raise Refused(Verdict(whole))
        if self._lease.is_over:
            raise Refused(Verdict(RELEASED))
        return whole

    async def begin(self, record: Record, token: int) -> None:
        """Note that a job is about to run which may not run again unless its end is known."""
        marked = await self._marks.begin(record["id"], token)
        if marked is None or self._lease.is_over:
            raise self.not_begun()
        self._go_on(marked)

    def not_begun(self) -> Refused:
        """Return the refusal of a job that did not run, though the note may be there.

        Unlike a release, this outcome takes the note away.
        """
        return Refused(Verdict(self.put_off.a_moment()))

    def _go_on(self, marked: bool | None) -> None:
        if marked is None or self._lease.is_over:
            raise Refused(Verdict(RELEASED))
        if not marked:
            raise Refused(None)

    async def misfit(self, record: Record, error: PayloadError) -> Refused:
        """Return the refusal of a job whose arguments do not fit its task."""
        return Refused(await self._misfits.judge(record, error))
