"""When a process that can write nothing gives itself up.

Its heartbeats are answered, so nobody takes its jobs over; yet what they come to is never written.
It may be out of descriptors or of memory, or have lost its files. Another process can do better.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pgqueue.db.faults import Contended, Rejected
from pgqueue.errors import DatabaseError, OutcomeUnknown, PgQueueError, SchemaError

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
    """Counts writes that failed in a row, on the worker's loop.

    ``renewing_since``: since when all heartbeats were answered (monotonic seconds). Not time alone
    decides, for a blocked loop tries nothing.
    """

    def __init__(
        self,
        lease: float,
        *,
        renewing_since: Callable[[], float],
        give_up: Callable[[BaseException], None],
    ) -> None:
        self._lease = lease
        self._renewing_since = renewing_since
        self._give_up = give_up
        self._since = 0.0
        self._tries = 0

    def wrote(self) -> None:
        """A write succeeded, or the database refused one."""
        self._tries = 0

    def failed(self, why: BaseException, outcomes: int, now: float | None = None) -> None:
        """A write failed while so many outcomes wait; give up if this was one too many."""
        if not is_own_fault(why):
            self.wrote()
            return
        now = time.monotonic() if now is None else now
        if not self._tries:
            self._since = now
        self._tries += 1
        seconds = now - max(self._since, self._renewing_since())
        if self._tries >= _LEAST_TRIES and seconds > self._lease:
            self._give_up(
                DatabaseError(
                    f"this worker could write none of its {outcomes} outcomes for {seconds:.0f} s, "
                    f"though the database answers its heartbeats: {str(why) or repr(why)}"
                )
            )
