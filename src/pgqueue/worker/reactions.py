"""What follows when a part of a worker says that something has happened. On the worker's loop."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pgqueue.config import WorkerSettings
from pgqueue.db.pool import Pool
from pgqueue.worker import events
from pgqueue.worker.asker import Asker
from pgqueue.worker.claim.claimer import Claimer
from pgqueue.worker.claim.promoter import Promoter
from pgqueue.worker.claim_session import ClaimSession
from pgqueue.worker.events import EndEvent, Event, Events
from pgqueue.worker.fleet.heartbeat_thread import HeartbeatThread
from pgqueue.worker.flows.admitter import Admitter
from pgqueue.worker.lease import Lease
from pgqueue.worker.ready_again import places_of, soonest_of
from pgqueue.worker.receipt import Entry
from pgqueue.worker.run.runner import Runner
from pgqueue.worker.seat import Seat

__all__ = ["Reactions", "promotes"]

log = logging.getLogger("pgqueue.worker")

_OVERDUE = 0.5
_Resumed = events.Rejoined | events.LeaseHeldAgain
_ForClaimer = (
    events.QueuesReady
    | events.ReadyAgain
    | events.Seated
    | events.LoopAnswered
    | _Resumed
    | events.LimitsTold
    | events.PermitsMoved
)


def promotes(seconds: float, seat: Seat, *, listen: bool) -> bool:
    """Return whether a worker promotes what is due in so many seconds.

    The watch does; the others only what nobody has promoted.
    """
    return seat.rank is not None or not listen or seconds < -_OVERDUE


@dataclass(frozen=True, slots=True, kw_only=True)
class Reactions:
    """The machines of a worker, and what each event has them do."""

    settings: WorkerSettings
    claimer: Claimer
    promoter: Promoter
    admitter: Admitter
    runner: Runner
    asker: Asker
    heartbeat_thread: HeartbeatThread
    session: ClaimSession
    lease: Lease
    pool: Pool
    life: Events[EndEvent]

    def on(self, event: Event) -> None:
        """Do what follows from an event."""
        match event:
            case events.LimitReached() | events.CannotWrite() | events.HeartbeatFailed():
                self.life.send(event)
            case events.HeartbeatWanted(limits):
                self.heartbeat_thread.hurry(limits=limits)
            case events.AnswerLost():
                self.heartbeat_thread.reconcile()
            case events.CancelWanted(job_ids):
                self.runner.cancel(job_ids, "cancelled")
            case events.LeaseRevoked():
                self.runner.cancel_all("lost")
                self.runner.empty_buffer()
                self.asker.forget()
                self.lease.forget()
            case events.FlagsTold() | events.NextDue() | events.NextSlot():
                self._promote(event)
            case events.ServerSilent():
                self.pool.distrust()
            case events.MinutePassed():
                self.pool.rest()
            case events.NotOurs(job_id):
                log.warning(
                    "job %d was not this worker's any more when its outcome was to be written "
                    "(lease lost, cancelled or deleted); the outcome is dropped", job_id,
                    extra={"job_id": job_id},
                )  # fmt: skip
            case events.Written(entries):
                self._written(entries)
            case events.TicketsWritten() | events.Looked() | events.FlowsSeen():
                self._admit(event)
            case _:
                self._claim(event)

    def _claim(self, event: _ForClaimer) -> None:
        """There may be something to claim, or room for it."""
        claimer = self.claimer
        match event:
            case events.QueuesReady(queues):
                claimer.on_ready(queues)
            case events.ReadyAgain(lowest):
                for queue, position in lowest.items():
                    claimer.on_rewind(queue, position)
            case events.Rejoined():
                claimer.look_everywhere()
                claimer.on_room()
            case events.LimitsTold() | events.PermitsMoved():
                self.asker.on(event)
            case events.LeaseHeldAgain():
                claimer.on_room()
            case events.LoopAnswered(lag):
                if claimer.intake.answered(lag):
                    claimer.on_room()
            case events.Seated(before, alike, running, takes_jobs):
                claimer.seating.on_heartbeat(before, alike, running=running, takes_jobs=takes_jobs)

    def _admit(self, event: events.TicketsWritten | events.Looked | events.FlowsSeen) -> None:
        """There may be jobs of flows to admit."""
        match event:
            case events.TicketsWritten(flows, delay):
                self.admitter.ticketed(flows, delay)
            case events.Looked(poll):
                self.admitter.on_look(poll=poll)
            case events.FlowsSeen(slots, workers):
                self.admitter.on_fleet(slots, workers)

    def _promote(self, event: events.FlagsTold | events.NextDue | events.NextSlot) -> None:
        """There is something to know about what will be due."""
        match event:
            case events.FlagsTold(up, raised):
                self.promoter.on_flags(up=up, raised=raised)
            case events.NextDue(seconds):
                seat = self.claimer.seating.seat
                if promotes(seconds, seat, listen=self.settings.listen):
                    self.promoter.due_in(seconds + seat.delay)
            case events.NextSlot(seconds):
                seat = self.claimer.seating.seat
                if promotes(seconds, seat, listen=self.settings.listen):
                    self.heartbeat_thread.fire_in(max(0.0, seconds) + seat.delay)

    def _written(self, entries: Sequence[Entry]) -> None:
        """What was released or put off is somebody's work again; slots of flows are free."""
        soonest = soonest_of(entries)
        if soonest is not None and soonest <= self.settings.heartbeat * 2:
            self.promoter.due_in(soonest)
        places = places_of(entries)
        for queue, position in places:
            self.claimer.on_rewind(queue, position)
        if places:
            self.session.announce(places)
        if flows := {entry.flow for entry in entries if entry.flow is not None}:
            self.admitter.ticketed(flows)
