"""What one statement of the completer writes: jobs that end, are released, or are buried.

Jobs of flows are in batches of their own, as their statements write tickets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from pgqueue.config import LONGEST_DELAY
from pgqueue.failure import Failure
from pgqueue.outcome import CANCELLED, DONE, Cancelled, Dead, Done, RetryAt, Snoozed
from pgqueue.worker.finish.rungs import Rung
from pgqueue.worker.receipt import Entry

__all__ = [
    "Batch", "Buried", "Ended", "EndedInFlow", "Receipt", "Returned", "apart", "batches_of",
    "cancelled",
]  # fmt: skip

Receipt = tuple[int, int]
"""Id of a job, and the token of its claim."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Jobs without a flow that go to history as ``state``, by their receipts."""

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

    @property
    def in_flow(self) -> bool:
        """True if these are jobs of flows."""
        return self.entries[0].flow is not None

    def used(self) -> list[float | None]:
        """Return how many tokens each used; None for one that did not say."""
        return [entry.used for entry in self.entries]

    def errors(self, worker: str) -> list[str | None]:
        """Return the text that joins the errors of each, as this worker writes it."""
        return [_error(entry, worker) for entry in self.entries]


class EndedInFlow(_Entries):
    """Jobs of flows that go to history, all as ``state``."""

    __slots__ = ()
    in_history: ClassVar[bool] = True

    @property
    def state(self) -> str:
        """What history calls them."""
        return "completed" if isinstance(self.first.outcome, Done) else "cancelled"

    def singles(self) -> list[EndedInFlow]:
        """Return a batch for each of them."""
        return [EndedInFlow([entry]) for entry in self.entries]


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

    def held(self) -> list[float | None]:
        """Return for how many seconds the key or flow of each admits nothing; None: it goes on."""
        return [entry.held for entry in self.entries]

    def holds_flow(self) -> list[bool]:
        """Return whether that is said of the whole flow."""
        return [entry.holds_flow for entry in self.entries]


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


Batch = Ended | EndedInFlow | Returned | Buried


def batches_of(entries: Sequence[Entry]) -> list[Batch]:
    """Return the batches of any outcomes, in the order in which they are written."""
    groups: dict[tuple[int, bool, int], list[Entry]] = {}
    for entry in sorted(entries, key=lambda one: one.id):
        # What is moved without some of its row is moved by itself.
        kind = _kind(entry)
        alone = entry.id if kind != _RETURNED and entry.rung >= Rung.NO_ERRORS else 0
        groups.setdefault((kind, entry.flow is not None, alone), []).append(entry)
    return [_batch(kind, groups[kind, flow, alone]) for kind, flow, alone in sorted(groups)]


def apart(batch: Ended | EndedInFlow) -> list[Ended] | list[EndedInFlow]:
    """Return batches of one receipt a job. A lost claim may have left one, and a later one another.

    The database knows which of them is good. Its statement looks at one receipt for each job.
    """
    if isinstance(batch, EndedInFlow):
        return [batch]
    if len(dict(batch.receipts)) == len(batch):
        return [batch]
    parts: list[list[Receipt]] = []
    seen = Counter[int]()
    for receipt in batch.receipts:
        place = seen[receipt[0]]
        seen[receipt[0]] += 1
        if place == len(parts):
            parts.append([])
        parts[place].append(receipt)
    return [replace(batch, receipts=part) for part in parts]


def cancelled(entries: Sequence[Entry]) -> Ended | EndedInFlow:
    """Return the batch that ends these as cancelled: all are of flows, or none is."""
    if entries[0].flow is None:
        return Ended([(entry.id, entry.token) for entry in entries], "cancelled")
    return EndedInFlow([replace(entry, outcome=CANCELLED, rung=Rung.WHOLE) for entry in entries])


_DONE, _CANCELLED, _RETURNED, _DEAD = range(4)


def _kind(entry: Entry) -> int:
    match entry.outcome:
        case Done():
            return _DONE
        case Cancelled():
            return _CANCELLED
        case Dead():
            return _DEAD
        case _:
            return _RETURNED


def _batch(kind: int, entries: list[Entry]) -> Batch:
    if kind == _RETURNED:
        return Returned(entries)
    if kind == _DEAD:
        return Buried(entries)
    if entries[0].flow is not None:
        return EndedInFlow(entries)
    state = "completed" if kind == _DONE else "cancelled"
    return Ended([(entry.id, entry.token) for entry in entries], state)


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
