"""What one statement of the completer writes: jobs that end, are released, or are buried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pgqueue.config import LONGEST_DELAY
from pgqueue.failure import Failure
from pgqueue.outcome import CANCELLED, DONE, Dead, RetryAt, Snoozed
from pgqueue.worker.finish.rungs import Rung
from pgqueue.worker.receipt import Entry

__all__ = ["Batch", "Buried", "Ended", "Receipt", "Returned"]

Receipt = tuple[int, int]
"""Id of a job, and the token of its claim."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Jobs that go to history as ``state``, by their receipts."""

    receipts: list[Receipt]
    state: str
    rung: int = Rung.WHOLE

    in_history: ClassVar[bool] = True

    def __len__(self) -> int:
        return len(self.receipts)

    @property
    def first(self) -> Entry:
        """The first of them as an entry, which is all of a batch of one."""
        return Entry(*self.receipts[0], DONE if self.state == "completed" else CANCELLED)

    def singles(self) -> list[Ended]:
        """Return a batch for each of them."""
        return [Ended([receipt], self.state) for receipt in self.receipts]


@dataclass(frozen=True, slots=True)
class _Entries:
    entries: list[Entry]

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def receipts(self) -> list[Receipt]:
        return [(entry.id, entry.token) for entry in self.entries]

    @property
    def first(self) -> Entry:
        """The first of them, which is all of a batch of one."""
        return self.entries[0]

    def errors(self, worker: str) -> list[str | None]:
        """Return the text that joins the errors of each, as this worker writes it."""
        return [_error(entry, worker) for entry in self.entries]


class Returned(_Entries):
    """Jobs that run again: they failed, were snoozed, or were not begun."""

    __slots__ = ()
    in_history: ClassVar[bool] = False  # a job that was released has no receipt to show

    def singles(self) -> list[Returned]:
        """Return a batch for each of them."""
        return [Returned([entry]) for entry in self.entries]

    def delays(self) -> list[float | None]:
        """Return in how many seconds each is due; None for one that keeps its place."""
        return [
            min(entry.outcome.delay, LONGEST_DELAY)
            if isinstance(entry.outcome, (RetryAt, Snoozed))
            else None
            for entry in self.entries
        ]

    def changes(self) -> list[int]:
        """Return what becomes of the count of attempts of each: one that failed counts."""
        return [0 if isinstance(entry.outcome, RetryAt) else -1 for entry in self.entries]


class Buried(_Entries):
    """Jobs that become dead letters."""

    __slots__ = ()
    in_history: ClassVar[bool] = True

    def singles(self) -> list[Buried]:
        """Return a batch for each of them."""
        return [Buried([entry]) for entry in self.entries]

    def reasons(self) -> list[str]:
        """Return why each of them is dead."""
        return [entry.outcome.reason for entry in self.entries if isinstance(entry.outcome, Dead)]


Batch = Ended | Returned | Buried


def _error(entry: Entry, worker: str) -> str | None:
    if entry.rung == Rung.NO_ERRORS and not isinstance(entry.outcome, Dead):
        return None
    match entry.outcome:
        case (
            RetryAt(failure=failure)
            | Snoozed(failure=Failure() as failure)
            | Dead(failure=Failure() as failure)
        ):
            return failure.entry(attempt=entry.attempt, worker=worker)
        case _:
            return None
