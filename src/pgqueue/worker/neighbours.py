"""What the parts of a worker ask of each other: they do not import each other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from pgqueue.outcome import RELEASED, Outcome
from pgqueue.worker.receipt import Claimed, Entry

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["Claims", "Outcomes", "Registered", "Room", "Speed", "ThreadRoom"]


class Speed(Protocol):
    """How fast jobs go through."""

    @property
    def finished(self) -> int:
        """Jobs that ran, whatever became of them."""
        ...

    def busy_seconds(self, now: float) -> float:
        """For how long there has been something to run, since the start."""
        ...


class ThreadRoom(Speed, Protocol):
    """The threads of a worker that has fewer of them than slots. ``finished`` is of their jobs."""

    @property
    def free(self) -> int:
        """Threads without a job, not counting those that waiting jobs will take; never below 0."""
        ...

    @property
    def waiting(self) -> int:
        """Jobs that were claimed and wait for a thread."""
        ...

    @property
    def is_unused(self) -> bool:
        """True while no job here needs a thread, nor one of those that came last."""
        ...


class Room(Speed, Protocol):
    """Where claimed jobs go: the runner, as the claimer sees it."""

    @property
    def threads(self) -> ThreadRoom | None:
        """The threads; None where slots are all that jobs wait for."""
        ...

    @property
    def free(self) -> int:
        """Slots without a job, not counting those that waiting jobs will take."""
        ...

    @property
    def running(self) -> int:
        """Jobs that have a slot."""
        ...

    @property
    def buffered(self) -> int:
        """Jobs that were claimed and wait for a slot."""
        ...

    @property
    def waits(self) -> bool:
        """True if a job is here that has not begun."""
        ...

    @property
    def passed_on(self) -> int:
        """Jobs that were given up before they began, for others to have."""
        ...

    @property
    def has_room(self) -> asyncio.Event:
        """Set once there is room: who waits for it clears it before."""
        ...

    def tell_when(self, buffered_at_most: int) -> None:
        """Set ``has_room`` once so few are buffered."""
        ...

    def add(self, records: Sequence[Record], token: int) -> None:
        """Take what one claim brought."""
        ...

    def take_surplus(self, keep: int) -> list[Claimed]:
        """Return what is buffered beyond so many; it is the caller's from now on."""
        ...

    def receipts(self) -> set[tuple[int, int]]:
        """Return ids and tokens of the jobs that wait or run."""
        ...


class Outcomes(Protocol):
    """Where outcomes go: the completer, as those see it who have some."""

    completed: int

    @property
    def is_full(self) -> bool:
        """True while more is to be written than should be kept."""
        ...

    @property
    def is_torn_down(self) -> bool:
        """True once somebody else cancelled what writes."""
        ...

    async def wait_room(self) -> None:
        """Wait until it is not full."""
        ...

    def done(self, job_id: int, token: int) -> None:
        """Write plain success of a job without a flow."""
        ...

    def done_by_handler(self, flow: str | None) -> None:
        """Count a job that its handler completed."""
        ...

    def add(self, entry: Entry) -> None:
        """Write any other outcome."""
        ...

    def receipts(self) -> set[tuple[int, int]]:
        """Return ids and tokens of the jobs whose outcomes are not written yet."""
        ...


class Registered(Protocol):
    """Who stands on the list of workers, as the claimer sees it."""

    @property
    def worker_id(self) -> int | None:
        """The id that this worker is registered under; None while it is not."""
        ...


class Claims(Protocol):
    """Who keeps the account of what is held, as the claimer sees it."""

    def begin(self, token: int) -> None:
        """Note that a claim is about to be sent."""
        ...

    def end(self, token: int, *, took: bool) -> None:
        """Note that a claim is over, and whether it took jobs."""
        ...

    def lose(self, token: int, worker: int, seconds: float, outcome: Outcome = RELEASED) -> None:
        """Note that nobody knows what a claim took; the server may go on for so many seconds."""
        ...
