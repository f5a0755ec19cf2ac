"""The ladder of an outcome that the database refuses: what the next try leaves out.

First the text of its error, in two steps; then what stands in the row's errors already; and in the
end its arguments, tags and metadata, of a row that says itself that they cannot be copied.
"""

from __future__ import annotations

from dataclasses import replace

from pgqueue.db.faults import is_of_the_row
from pgqueue.failure import Failure
from pgqueue.outcome import Dead, RetryAt, Snoozed
from pgqueue.worker.receipt import Entry

__all__ = ["DAMAGED", "Rung", "next_rung"]

DAMAGED = Failure("DamagedRow", "what cannot be read of this job's row was left out", "")
"""The error that stays with a job whose former errors, or more, could not be copied."""


class Rung:
    """How much of an outcome and its row is written, from all of it to the least."""

    WHOLE = 0
    PLAIN = 1
    CONSTANT = 2
    NO_ERRORS = 3
    NO_ARGUMENTS = 4


def next_rung(entry: Entry, error: BaseException) -> Entry | None:
    """Return the entry with less in it than the one that was refused; None if there is no less.

    What a job holds is left out of dead letters alone: another attempt needs it.
    """
    rung = entry.rung + 1
    match entry.outcome:
        case RetryAt(delay, failure) if rung <= Rung.NO_ERRORS:
            return replace(entry, outcome=RetryAt(delay, _less(failure, rung)), rung=rung)
        case Snoozed(delay, Failure() as failure) if rung <= Rung.NO_ERRORS:
            return replace(entry, outcome=Snoozed(delay, _less(failure, rung)), rung=rung)
        case Dead(reason, failure) if rung <= Rung.CONSTANT:
            plain = "".join(c if " " <= c <= "~" else "?" for c in reason)
            less = None if failure is None else _less(failure, rung)
            return replace(entry, outcome=Dead(plain, less), rung=rung)
        case Dead(reason) if rung <= Rung.NO_ARGUMENTS and is_of_the_row(error):
            if rung == Rung.NO_ARGUMENTS:
                reason = "its arguments could not be kept"
            return replace(entry, outcome=Dead(reason, DAMAGED), rung=rung)
        case _:
            return None


def _less(failure: Failure, rung: int) -> Failure:
    return failure.plain() if rung == Rung.PLAIN else failure.constant()
