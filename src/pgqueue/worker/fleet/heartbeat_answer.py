"""One heartbeat: what it was sent with, and what its answer says. Neither server nor clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pgqueue.worker.events import (
    CancelWanted,
    FleetEvent,
    FlowsSeen,
    LeaseHeldAgain,
    LimitsTold,
    NextDue,
    NextSlot,
    Seated,
)
from pgqueue.worker.fleet.fleet_size import due_within

__all__ = ["Heard", "Renewals", "Row", "Sent", "read"]

_LATE = 1.0


class Row(Protocol):
    """The answer to a heartbeat; see renew_lease.sql."""

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(slots=True)
class Renewals:
    """What is kept from one heartbeat to the next. The heartbeat thread writes it.

    ``server``: since when it runs.
    """

    count: int = 0
    server: object = None

    def on_server(self, server: object) -> bool:
        """Note which server answered; return whether another one did before."""
        before, self.server = self.server, server
        return before not in (None, server)


@dataclass(frozen=True, slots=True)
class Sent:
    """``every``: seconds since the heartbeat before, as was wanted.

    ``looks``: for lost workers. ``counts``: all workers, and those alike.
    """

    every: float
    running: int
    takes_jobs: bool
    looks: bool
    counts: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """``events``: what the worker is told. ``expired``, ``vanished``: workers that seem lost.

    ``held_up``: this worker's own heartbeat was late.
    """

    events: Sequence[FleetEvent]
    held_up: bool
    expired: Sequence[int]
    vanished: Sequence[int]


def read(row: Row, sent: Sent, *, expired: bool, workers: int, alike: int, at_rest: bool) -> Heard:
    """Return what the answer to a heartbeat says. ``expired``: the lease had run out before."""
    events: list[FleetEvent] = [LeaseHeldAgain()] if expired else []
    events.append(Seated(row["before"], alike, sent.running, sent.takes_jobs))
    if row["has_flows"]:
        events.append(FlowsSeen(row["slots"] if sent.counts else None, workers))
    events.append(LimitsTold(row["limits"]))
    if row["cancelled"]:
        events.append(CancelWanted(row["cancelled"]))
    next_due = row["next_due"]
    if next_due is not None and next_due <= due_within(sent.every, at_rest=at_rest):
        events.append(NextDue(next_due))
    next_slot = row["next_slot"]
    if next_slot is not None and next_slot <= due_within(sent.every, at_rest=at_rest):
        events.append(NextSlot(next_slot))
    if row["age"] > 2 * sent.every + _LATE:
        # The cause may be the server, so all may be late: who is first to go on does not judge.
        return Heard(events, held_up=True, expired=(), vanished=())
    return Heard(events, held_up=False, expired=row["expired"], vanished=row["vanished"])
