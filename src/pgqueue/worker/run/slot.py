"""A place where jobs run, and how many attempts came to what."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pgqueue.db.waits import Waits
from pgqueue.outcome import CANCELLED, RELEASED, Dead, Outcome, RetryAt
from pgqueue.running import RunningJob
from pgqueue.worker.receipt import Claimed
from pgqueue.worker.run.settle import NOTHING, Ended, Told, Why, settle

if TYPE_CHECKING:
    from asyncpg import Record

    from pgqueue.worker.run.verdict import Verdict

__all__ = ["Counts", "Owner", "Slot", "abandon", "running_of"]


class Owner(Protocol):
    """Whose slots they are: the runner, as slots and attempts see it."""

    def told(self, slot: Slot, task: asyncio.Task[None]) -> None:
        """Note that the job of a slot was told to end, in this task."""
        ...

    def given_up(self, slot: Slot) -> None:
        """Note that the attempt in a slot is over, though its job goes on."""
        ...

    def left(self, slot: Slot, record: Record) -> None:
        """Take the slot back: whatever became of the job, it is over."""
        ...


class Slot:
    """A place where jobs run, one after another, and what is known of the one that runs there."""

    __slots__ = (
        "began", "job", "owner", "place", "record", "task", "timer", "token", "waits", "why",
    )  # fmt: skip

    def __init__(self, place: int, owner: Owner) -> None:
        self.place = place
        self.owner = owner
        self.token = 0
        self.began = 0.0  # when its last job did, in monotonic seconds
        self.timer: asyncio.TimerHandle | None = None
        self.clear()

    def clear(self) -> None:
        """Nothing runs here, nor does a timer."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.record: Record | None = None
        self.task: asyncio.Task[None] | None = None  # of a job that did not end in its first step
        self.job: RunningJob | None = None
        self.waits: Waits | None = None
        self.why: Why | None = None

    @property
    def is_owed(self) -> bool:
        """True if the outcome of what runs here is still to come."""
        return self.record is not None and self.why != "abandoned"

    @property
    def told(self) -> Told:
        """What its job was told; or that a transaction of its own completed it."""
        if self.why != "abandoned" and self.job is not None and self.job.is_completed:
            return "completed"
        return self.why

    def wait_in(self, task: asyncio.Task[None]) -> None:
        """Its job did not end in the first step of this task, or has not made that yet."""
        self.task = task
        if self.why is not None:  # it was told to end in its first step
            task.cancel()
            self.owner.told(self, task)

    def cancel(self, why: Why) -> None:
        """Tell its job to end. The first who does says why."""
        if self.why is None:
            self.why = why
            if self.job is not None:
                self.job.mark_cancelled()
            if self.task is not None:
                self.task.cancel()
                self.owner.told(self, self.task)

    def give_up(self) -> None:
        """Its attempt is over, though its job goes on: what that comes to is nobody's now."""
        self.why = "abandoned"
        self.owner.given_up(self)

    def time_out(self) -> None:
        """The time is over. A job that waits for a connection of ours cannot help it."""
        self.timer = None
        waits = self.waits is not None and self.waits.under_way
        self.cancel("waiting" if waits else "timeout")


@dataclass(slots=True)
class Counts:
    """How many attempts came to what; successes are counted where they are written.

    ``logged``: how many successes got a line of the log. ``tell``: is told of each of the others,
    with what it raised.
    """

    retried: int = 0
    dead: int = 0
    released: int = 0
    cancelled: int = 0
    logged: int = 0
    tell: Callable[[Record, Verdict, BaseException | None], None] | None = None

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        match outcome:
            case RetryAt():
                self.retried += 1
            case Dead():
                self.dead += 1
            case _:
                self.released += outcome is RELEASED
                self.cancelled += outcome is CANCELLED


def running_of(slots: Iterable[Slot]) -> Counter[str]:
    """Return how many jobs of each queue run in these slots."""
    return Counter(slot.record["queue"] for slot in slots if slot.record is not None)


def abandon(slots: Iterable[Slot]) -> list[Claimed]:
    """Give up on the jobs that still run in these slots; return those to release."""
    left: list[Claimed] = []
    for slot in slots:
        if slot.record is not None and slot.is_owed:
            if settle(slot.told, Ended.CANCELLED) is not NOTHING:
                left.append((slot.record, slot.token))
            slot.give_up()
    return left
