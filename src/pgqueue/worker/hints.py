"""What a worker does about a notification. What that says is never trusted, only looked into."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pgqueue.worker import notice
from pgqueue.worker.events import (
    Events,
    HeartbeatWanted,
    NextSlot,
    PermitsMoved,
    TicketsWritten,
)

if TYPE_CHECKING:
    from pgqueue.worker.claim.claimer import Claimer
    from pgqueue.worker.claim.promoter import Promoter

__all__ = ["heed"]

log = logging.getLogger("pgqueue.worker")

_Sent = HeartbeatWanted | NextSlot | PermitsMoved | TicketsWritten
_Passed = (
    notice.FlowTicketed | notice.SlotIn | notice.Permits | notice.CancelAsked
    | notice.LimitsChanged
)  # fmt: skip


def heed(
    payload: str,
    *,
    claimer: Claimer,
    promoter: Promoter,
    events: Events[_Sent],
) -> None:
    """Do what a notification asks for."""
    claimer.flags.heard()
    match notice.read(payload):
        case notice.Enqueued(queue):
            claimer.on_notification(queue)
        case notice.WorkersCalled(queue, reach):
            claimer.on_call(queue, reach)
        case notice.Lowered(queue):
            claimer.on_lowered(queue)
        case notice.Rewound(queue, position):
            claimer.on_rewind(queue, position)
        case notice.DueIn(seconds):
            promoter.due_in(seconds + claimer.seating.seat.delay)
        case notice.WatchLeft():
            claimer.seating.on_left()
        case notice.Word():
            pass
        case None:
            log.debug("a notification that says nothing to us: %.80r", payload)
        case said:
            events.send(_event_of(said, claimer.seating.seat.delay))


def _event_of(said: _Passed, delay: float) -> _Sent:
    """Return what a notification says to others than the claimer and the promoter."""
    match said:
        case notice.FlowTicketed(flow):
            return TicketsWritten((flow,), delay)
        case notice.SlotIn(seconds):
            return NextSlot(seconds)
        case notice.Permits(queue, worker):
            return PermitsMoved(queue, worker)
        case notice.CancelAsked() | notice.LimitsChanged():
            return HeartbeatWanted(limits=isinstance(said, notice.LimitsChanged))
