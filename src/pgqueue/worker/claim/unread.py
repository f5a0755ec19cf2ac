"""What becomes of the jobs of a claim that failed: none were taken, all go back, or one is bad."""

from __future__ import annotations

from dataclasses import dataclass

from pgqueue.db.faults import Contended
from pgqueue.errors import OutcomeUnknown, PgQueueError, Unreachable
from pgqueue.failure import Failure
from pgqueue.outcome import RELEASED, Dead, Outcome, Snoozed
from pgqueue.worker.put_off import PUT_OFF, PutOff

__all__ = ["Loss", "described", "is_unread", "loss_of", "took_nothing", "verdict"]


@dataclass(frozen=True, slots=True)
class Loss:
    """What follows from a claim that failed."""

    outcome: Outcome | None  # of the jobs that it may have taken; None if it took none
    long: bool = False  # the next one needs more time
    unread: bool = False  # its answer was read by nobody


def loss_of(error: BaseException, *, room: int, put_off: PutOff = PUT_OFF) -> Loss:
    """Return what follows from a claim of ``room`` jobs that failed with this error."""
    # There is more to walk over than its time allows: the same again would never end.
    long = isinstance(error, Contended)
    if took_nothing(error):
        return Loss(None, long)
    unread = is_unread(error)
    outcome = verdict(error, put_off) if unread and room == 1 else RELEASED
    return Loss(outcome, long, unread)


def _origin(error: BaseException) -> BaseException:
    """Return the driver's error behind one of ours."""
    cause = error.__cause__ if isinstance(error, PgQueueError) else None
    return error if cause is None else cause


def took_nothing(error: BaseException) -> bool:
    """True if the server refused the claim, or never saw it."""
    if isinstance(error, OutcomeUnknown):
        return False
    return isinstance(error, Unreachable) or hasattr(_origin(error), "sqlstate")


def is_unread(error: BaseException) -> bool:
    """True if the server answered, and the driver could make no rows of its answer."""
    origin = _origin(error)
    if hasattr(origin, "sqlstate"):
        return False
    return isinstance(origin, (ValueError, OverflowError, MemoryError))


def described(error: BaseException) -> tuple[str, bool]:
    """Return what a claim that failed is logged as, and whether its error is a known one."""
    if is_unread(error):
        return "the answer to a claim could not be read", True
    return "claiming waits for the database", isinstance(error, PgQueueError)


def verdict(error: BaseException, put_off: PutOff = PUT_OFF) -> Dead | Snoozed:
    """Return what becomes of a job that was claimed alone, and could not be read.

    What no worker can read is dead. What has no room in this process may have it elsewhere, or
    later.
    """
    origin = _origin(error)
    if isinstance(origin, MemoryError):
        return put_off.without_room()
    why = f"{type(origin).__name__}: {origin}"
    return Dead(f"its row cannot be read: {why}", Failure(type(origin).__name__, str(origin), ""))
