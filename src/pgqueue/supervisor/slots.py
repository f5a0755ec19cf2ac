"""The places of a supervisor's processes: who is in each, and when the next one is spawned.

A new process is started before an old one is told to leave. What a slot goes through::

    EMPTY --filled--> STARTING --started--> SERVING --successor spawned--> SUCCESSOR
      ^                  |                     |                               |
      '------ended-------+---------------------'       SERVING <--successor----'
                                                                  started

Nothing here spawns, waits or reads a clock: times are handed in, in monotonic seconds.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Generic, TypeVar

__all__ = [
    "FIRST_DELAY",
    "LONGEST_DELAY",
    "MOVES",
    "STEADY_AFTER",
    "TRIES",
    "WRONG",
    "Ending",
    "Event",
    "Slot",
    "State",
    "is_lasting",
    "next_to_replace",
    "roll_of_all",
    "tried_enough",
]

FIRST_DELAY = 0.1
"""Seconds from the end of a process that failed to the next one; then twice as many, and so on."""

LONGEST_DELAY = 30.0
"""The most of these seconds."""

STEADY_AFTER = 30.0
"""A process that ran for so many seconds is followed after the first delay."""

TRIES = 5
"""How often each slot is tried while no process has ever reached the database."""

WRONG = 2
"""The exit code of a process in which something is set wrong."""

_ENDED_BY_THE_GROUP = (-signal.SIGTERM, -signal.SIGINT)

P = TypeVar("P")


class State(Enum):
    """What is in a slot."""

    EMPTY = auto()
    """Nobody; the next process is spawned when its time has come."""
    STARTING = auto()
    """A process that has not said yet that it started."""
    SERVING = auto()
    """A process that has started."""
    SUCCESSOR = auto()
    """A process that has started, and a successor that has not."""
    VACANT = auto()
    """A successor that has not started; the process before it has ended."""
    LEAVING = auto()
    """The supervisor stops: the slot is not filled any more."""


class Event(Enum):
    """What happens to a slot."""

    FILLED = auto()
    """A process is put in: the successor, or one that was spawned. One that retires makes room."""
    NOT_FILLED = auto()
    """None could be spawned."""
    STARTED = auto()
    ENDED = auto()
    SUCCESSOR_SPAWNED = auto()
    SUCCESSOR_STARTED = auto()
    SUCCESSOR_ENDED = auto()
    STOP = auto()


MOVES: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (State.EMPTY, Event.FILLED): State.STARTING,
        (State.EMPTY, Event.NOT_FILLED): State.EMPTY,
        (State.EMPTY, Event.STOP): State.LEAVING,
        (State.STARTING, Event.FILLED): State.STARTING,
        (State.STARTING, Event.NOT_FILLED): State.EMPTY,
        (State.STARTING, Event.STARTED): State.SERVING,
        (State.STARTING, Event.ENDED): State.EMPTY,
        (State.STARTING, Event.STOP): State.LEAVING,
        (State.SERVING, Event.FILLED): State.STARTING,
        (State.SERVING, Event.NOT_FILLED): State.EMPTY,
        (State.SERVING, Event.ENDED): State.EMPTY,
        (State.SERVING, Event.SUCCESSOR_SPAWNED): State.SUCCESSOR,
        (State.SERVING, Event.STOP): State.LEAVING,
        (State.SUCCESSOR, Event.FILLED): State.STARTING,
        (State.SUCCESSOR, Event.ENDED): State.VACANT,
        (State.SUCCESSOR, Event.SUCCESSOR_STARTED): State.SERVING,
        (State.SUCCESSOR, Event.SUCCESSOR_ENDED): State.SERVING,
        (State.SUCCESSOR, Event.STOP): State.LEAVING,
        (State.VACANT, Event.FILLED): State.STARTING,
        (State.VACANT, Event.SUCCESSOR_STARTED): State.SERVING,
        (State.VACANT, Event.SUCCESSOR_ENDED): State.EMPTY,
        (State.VACANT, Event.STOP): State.LEAVING,
    }
)
"""What follows; an event that is not here changes nothing."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process ended. ``why``: what it said that kept it from starting."""

    code: int
    started: bool
    stopped: bool
    why: str | None
    age: float

    @property
    def in_order(self) -> bool:
        """True if its worker had stopped."""
        return self.stopped and self.code == 0

    @property
    def never_started(self) -> bool:
        """True if it failed before it had started."""
        return not self.started and not self.in_order

    @property
    def held_jobs(self) -> bool:
        """True if it may have had jobs that it did not release itself."""
        return not self.stopped and (self.started or self.why is None)

    @property
    def spoils_a_stop(self) -> bool:
        """True if a supervisor that stops must not say that all went well.

        One that had not started is ended by a signal to the whole group: nothing was begun.
        """
        return not self.in_order and (self.started or self.code not in _ENDED_BY_THE_GROUP)


class Slot(Generic[P]):
    """A place for one process, and for its successor while that one starts."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.state = State.EMPTY
        self.current: P | None = None
        self.successor: P | None = None
        self.spawn_at: float | None = 0.0
        self.failures = 0
        self._delay = FIRST_DELAY

    def is_due(self, now: float) -> bool:
        """True once it is to be filled."""
        return self.spawn_at is not None and self.spawn_at <= now

    def fill(self, process: P | None, now: float) -> None:
        """Put in the successor, or what was spawned; None if nothing could be."""
        if not self._move(Event.NOT_FILLED if process is None else Event.FILLED):
            return
        self.spawn_at = None
        self.current, self.successor = process, None
        if process is None:
            self._back_off(now)

    def succeed(self, process: P) -> None:
        """Note the successor that was spawned."""
        if self._move(Event.SUCCESSOR_SPAWNED):
            self.successor = process

    def started(self, process: P) -> P | None:
        """Note that a process has started; return the one that is to leave for it, if any."""
        self.failures = 0
        leaving = None
        if process is self.successor:
            if self._move(Event.SUCCESSOR_STARTED):
                leaving, self.current, self.successor = self.current, process, None
                self.spawn_at = None
        elif process is self.current:
            self._move(Event.STARTED)
        return leaving

    def ended(self, process: P, ending: Ending, now: float) -> Event | None:
        """Note an end, and when the next one is spawned.

        Returns ENDED or SUCCESSOR_ENDED; None if nothing is to follow: the slot has another process
        already, or the supervisor stops.
        """
        if process is self.successor:
            event = Event.SUCCESSOR_ENDED
            self.successor = None
        elif process is self.current:
            event = Event.ENDED
            self.current = None
        else:
            return None
        if not self._move(event):
            return None
        if event is Event.ENDED:
            self._plan_next(ending, now)
        return event

    def rest(self) -> None:
        """Leave it empty until it is woken."""
        if self.state is State.EMPTY:
            self.spawn_at = None

    def wake(self, now: float) -> None:
        """Fill it now if it is empty, whatever it waits for."""
        if self.state is State.EMPTY:
            self.spawn_at = now

    def stop(self) -> None:
        """Fill it no more."""
        self._move(Event.STOP)
        self.spawn_at = None

    def _plan_next(self, ending: Ending, now: float) -> None:
        if ending.never_started:
            self.failures += 1
        if ending.in_order or ending.age > STEADY_AFTER:
            self._delay = FIRST_DELAY
        if ending.in_order:
            self.spawn_at = now
        else:
            self._back_off(now)

    def _back_off(self, now: float) -> None:
        self.spawn_at = now + self._delay
        self._delay = min(self._delay * 2, LONGEST_DELAY)

    def _move(self, event: Event) -> bool:
        after = MOVES.get((self.state, event))
        if after is None:
            return False
        self.state = after
        return True


def next_to_replace(slots: Iterable[Slot[P]], roll: deque[Slot[P]]) -> Slot[P] | None:
    """Return the slot whose process is replaced next, and take it off the roll; one at a time."""
    if any(slot.successor is not None for slot in slots):
        return None
    while roll:
        if roll[0].state is State.STARTING:
            return None  # it may have read the old code: its turn comes when it has started
        slot = roll.popleft()
        if slot.state is State.SERVING:
            return slot
    return None


def roll_of_all(slots: Iterable[Slot[P]], now: float) -> deque[Slot[P]]:
    """Return all slots, to be replaced in turn; those that wait, empty, are filled now."""
    roll = deque(slots)
    for slot in roll:
        slot.wake(now)
    return roll


def is_lasting(ending: Ending, *, reached: bool) -> bool:
    """True if the next process would fare no better than this one, which did not start.

    ``reached``: a process has reached the database at some time.
    """
    return ending.never_started and (
        ending.code == WRONG or (ending.why is not None and not reached)
    )


def tried_enough(ending: Ending, slots: Iterable[Slot[P]], *, reached: bool) -> bool:
    """True if no process could start, however often each slot was tried."""
    return ending.never_started and not reached and all(slot.failures >= TRIES for slot in slots)
