"""Whether this worker is on the list of workers, as a table: what happens, and what follows.

A worker counts as alive while its row is renewed. When a renewal fails, the lease runs on by the
worker's own clock. When the row is gone, others have what the worker held: it registers anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, auto

__all__ = ["MOVES", "Change", "Membership", "State", "Step"]


class State(Enum):
    """Where a worker stands with the others."""

    OUT = auto()  # not registered yet
    ALIVE = auto()
    AWAY = auto()  # the last heartbeat failed
    REVOKED = auto()  # its row is gone: it registers anew, at once
    REVOKED_AWAY = auto()  # its row is gone, and a heartbeat failed since it was last alive


class Change(Enum):
    """What happened."""

    REGISTERED = auto()
    RENEWED = auto()
    FAILED = auto()  # a heartbeat, or a registration
    GONE = auto()  # the answer to a heartbeat: there is no such row


class Step(Enum):
    """What follows."""

    WARN = auto()  # log that the lease cannot be renewed, once
    REVOKE = auto()  # end the lease, and have all dropped that was held under it
    RESCUE_FORMER = auto()  # release what was held under the id that is gone
    SAY_BACK = auto()  # log that the lease is being renewed again
    REJOIN = auto()  # have all looked into that may have been missed


# What does not stand here changes nothing.
MOVES: Mapping[tuple[State, Change], tuple[State, tuple[Step, ...]]] = {
    (State.OUT, Change.REGISTERED): (State.ALIVE, ()),
    (State.ALIVE, Change.FAILED): (State.AWAY, (Step.WARN,)),
    (State.ALIVE, Change.GONE): (State.REVOKED, (Step.REVOKE,)),
    (State.AWAY, Change.RENEWED): (State.ALIVE, (Step.SAY_BACK, Step.REJOIN)),
    (State.AWAY, Change.GONE): (State.REVOKED_AWAY, (Step.REVOKE,)),
    (State.REVOKED, Change.REGISTERED): (State.ALIVE, (Step.RESCUE_FORMER, Step.REJOIN)),
    (State.REVOKED, Change.FAILED): (State.REVOKED_AWAY, (Step.WARN,)),
    (State.REVOKED_AWAY, Change.REGISTERED): (
        State.ALIVE,
        (Step.RESCUE_FORMER, Step.SAY_BACK, Step.REJOIN),
    ),
}


class Membership:
    """The heartbeat thread writes it; ``worker_id`` is read by the worker's loop as well."""

    def __init__(self) -> None:
        self.state = State.OUT
        self.worker_id: int | None = None  # None while this worker is not on the list
        self.former: int | None = None  # the id that is gone, once one was

    @property
    def was_in(self) -> bool:
        """True from the first registration on."""
        return self.worker_id is not None or self.former is not None

    def registered(self, worker_id: int) -> Sequence[Step]:
        """Take the id that this worker is registered under now; return what follows."""
        self.worker_id = worker_id
        return self.on(Change.REGISTERED)

    def on(self, change: Change) -> Sequence[Step]:
        """Take a change; return what follows."""
        self.state, steps = MOVES.get((self.state, change), (self.state, ()))
        if Step.REVOKE in steps:
            self.former, self.worker_id = self.worker_id, None
        return steps
