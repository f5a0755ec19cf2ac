"""What a worker does about a notification. What that says is never trusted, only looked into."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pgqueue.worker import notice
from pgqueue.worker.events import Events, HeartbeatWanted, NextSlot, TicketsWritten

if TYPE_CHECKING:
    from pgqueue.worker.claim.claimer import Claimer
    from pgqueue.worker.claim.promoter import Promoter

__all__ = ["heed"]

log = logging.getLogger("pgqueue.worker")


def heed(
    payload: str,
    *,
    claimer: Claimer,
    promoter: Promoter,
    events: Events[HeartbeatWanted | NextSlot | TicketsWritten],
) -> None:
    """Do what a notification asks for."""
    claimer.flags.heard()
    match notice.read(payload):
        case notice.Enqueued(queue):
            claimer.on_notification(queue)
        case notice.FlowTicketed(flow):
            events.send(TicketsWritten((flow,), claimer.seating.seat.delay))
        case notice.WorkersCalled(queue, reach):
            claimer.on_call(queue, reach)
        case notice.Lowered(queue):
            claimer.on_lowered(queue)
        case notice.Rewound(queue, position):
            claimer.on_rewind(queue, position)
        case notice.DueIn(seconds):
            promoter.due_in(seconds + claimer.seating.seat.delay)
        case notice.SlotIn(seconds):
            events.send(NextSlot(seconds))
        case notice.CancelAsked() | notice.LimitsChanged() as word:
            events.send(HeartbeatWanted(limits=isinstance(word, notice.LimitsChanged)))
        case notice.WatchLeft():
            claimer.seating.on_left()
        case notice.Word():
            pass
        case None:
            log.debug("a notification that says nothing to us: %.80r", payload)
