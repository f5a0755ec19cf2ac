"""The life of a worker as a table: what happens to it, and what follows.

::

                                            .------------------ idle --------------------.
                                            |                                            v
    OUT --start--> STARTING --started--> RUNNING --last job begun--> RETIRING --quiet--> DONE
     ^                | stop                '------------- stop --------+-----------------'
     | not started    v                                     v                             ^
     '--------- ABANDONING           STOPPING --force--> CANCELLING                       |
     '------------------------ ended ---'---------------------'                           |
                      '------------- started, too late to be cancelled -------------------'

Nothing here waits: events are handed in, and the worker does what ``on`` returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from types import MappingProxyType

__all__ = ["MOVES", "Event", "State", "Step", "WorkerState"]


class State(Enum):
    """Where a worker stands."""

    OUT = auto()
    """It was not started yet, or it has stopped."""
    STARTING = auto()
    ABANDONING = auto()
    """A stop was asked for while it starts."""
    RUNNING = auto()
    RETIRING = auto()
    """The last of ``max_jobs`` has begun; it claims no more."""
    DONE = auto()
    """Whoever runs it is to stop it: its jobs are done, or it started though it was told not to."""
    STOPPING = auto()
    """Running jobs have the grace to finish."""
    CANCELLING = auto()
    """Running jobs are cancelled."""


class Event(Enum):
    """What happens to it."""

    START = auto()
    STARTED = auto()
    NOT_STARTED = auto()
    LAST_BEGUN = auto()
    QUIET = auto()
    """Of a worker that retires: no job runs any more."""
    IDLE = auto()
    """Of a worker that is to end then: nothing is to do in its queues."""
    STOP = auto()
    FORCE = auto()
    """A stop without grace: asked for twice, cancelled, or the worker has failed."""
    ENDED = auto()


class Step(Enum):
    """What follows."""

    CANCEL_START = auto()
    RETIRE = auto()
    """Wait until no job runs."""
    END = auto()
    """Stop the machines."""


_Moves = Mapping[tuple[State, Event], tuple[State, tuple[Step, ...]]]

MOVES: _Moves = MappingProxyType(
    {
        (State.OUT, Event.START): (State.STARTING, ()),
        (State.STARTING, Event.STARTED): (State.RUNNING, ()),
        (State.STARTING, Event.NOT_STARTED): (State.OUT, ()),
        (State.STARTING, Event.STOP): (State.ABANDONING, (Step.CANCEL_START,)),
        (State.STARTING, Event.FORCE): (State.ABANDONING, (Step.CANCEL_START,)),
        (State.ABANDONING, Event.STARTED): (State.DONE, ()),  # it was too late to cancel that
        (State.ABANDONING, Event.NOT_STARTED): (State.OUT, ()),
        (State.ABANDONING, Event.STOP): (State.ABANDONING, (Step.CANCEL_START,)),
        (State.ABANDONING, Event.FORCE): (State.ABANDONING, (Step.CANCEL_START,)),
        (State.RUNNING, Event.LAST_BEGUN): (State.RETIRING, (Step.RETIRE,)),
        (State.RUNNING, Event.IDLE): (State.DONE, ()),
        (State.RUNNING, Event.STOP): (State.STOPPING, (Step.END,)),
        (State.RUNNING, Event.FORCE): (State.CANCELLING, (Step.END,)),
        (State.RETIRING, Event.QUIET): (State.DONE, ()),
        (State.RETIRING, Event.STOP): (State.STOPPING, (Step.END,)),
        (State.RETIRING, Event.FORCE): (State.CANCELLING, (Step.END,)),
        (State.DONE, Event.STOP): (State.STOPPING, (Step.END,)),
        (State.DONE, Event.FORCE): (State.CANCELLING, (Step.END,)),
        (State.STOPPING, Event.FORCE): (State.CANCELLING, ()),
        (State.STOPPING, Event.ENDED): (State.OUT, ()),
        (State.CANCELLING, Event.ENDED): (State.OUT, ()),
    }
)
"""What follows; an event that is not here changes nothing."""

_HAS_STARTED = frozenset(
    {State.RUNNING, State.RETIRING, State.DONE, State.STOPPING, State.CANCELLING}
)
_TO_END = frozenset({State.ABANDONING, State.DONE, State.STOPPING, State.CANCELLING})


class WorkerState:
    """The state of a worker, and two signals for those that wait on its loop.

    ``stop_wanted``: it is to end. ``forced``: without grace. Each start has signals of its own, as
    it may run on another loop.
    """

    def __init__(self) -> None:
        self.state = State.OUT
        self.stop_wanted = asyncio.Event()
        self.forced = asyncio.Event()

    @property
    def may_start(self) -> bool:
        """True while it neither starts nor runs."""
        return self.state is State.OUT

    @property
    def is_running(self) -> bool:
        """True from the end of the start to the end of the stop."""
        return self.state in _HAS_STARTED

    def on(self, event: Event) -> Sequence[Step]:
        """Take an event; return what follows."""
        before = self.state
        self.state, steps = MOVES.get((before, event), (before, ()))
        if self.state is not before and self.state in (State.OUT, State.STARTING):
            self.stop_wanted, self.forced = asyncio.Event(), asyncio.Event()
        if self.state in _TO_END:
            self.stop_wanted.set()
            if event is Event.FORCE:
                self.forced.set()
        return steps
