"""When a process that can write nothing gives itself up.

Its heartbeats are answered, so nobody takes its jobs over; yet what they come to is never written.
It may be out of descriptors or of memory, or have lost its files. Another process can do better.
"""

from __future__ import annotations

import time

from pgqueue.db.faults import Contended, Rejected
from pgqueue.errors import DatabaseError, OutcomeUnknown, PgQueueError, SchemaError
from pgqueue.worker.lease import Lease

__all__ = ["Fruitless", "is_own_fault"]

_LEAST_TRIES = 10


def is_own_fault(error: BaseException) -> bool:
    """False if the database answered and refused: it would refuse another process as well."""
    if isinstance(error, OutcomeUnknown):
        return True
    if isinstance(error, (Rejected, Contended, SchemaError)):
        return False
    origin = error.__cause__ if isinstance(error, PgQueueError) else error
    return not hasattr(origin, "sqlstate")


class Fruitless:
    """Counts writes that failed in a row, on the worker's loop, for as long as a lease is renewed.

    ``seconds``: for how long they may. Not time alone decides, for a blocked loop tries nothing.
    """

    def __init__(self, seconds: float, lease: Lease) -> None:
        self._seconds = seconds
        self._lease = lease
        self._since = 0.0
        self._tries = 0

    def wrote(self) -> None:
        """A write succeeded, or the database refused one."""
        self._tries = 0

    def failed(
        self, why: BaseException, outcomes: int, now: float | None = None
    ) -> DatabaseError | None:
        """A write failed while so many outcomes wait. Return why to give up, if it is time to."""
        if not is_own_fault(why):
            self.wrote()
            return None
        now = time.monotonic() if now is None else now
        if not self._tries:
            self._since = now
        self._tries += 1
        seconds = now - max(self._since, self._lease.renewing_since)
        if self._tries < _LEAST_TRIES or seconds <= self._seconds:
            return None
        return DatabaseError(
            f"this worker could write none of its {outcomes} outcomes for {seconds:.0f} s, "
            f"though the database answers its heartbeats: {str(why) or repr(why)}"
        )
