"""What a worker does when a part of it says something: one line an event, and none left out."""

from __future__ import annotations

from typing import Any, get_args
from unittest.mock import Mock, call

import pytest

from pgqueue.config import WorkerSettings
from pgqueue.outcome import DONE as DONE_WELL
from pgqueue.outcome import RELEASED, Snoozed
from pgqueue.worker import events
from pgqueue.worker.events import Event
from pgqueue.worker.heartbeat_port import HeartbeatPort
from pgqueue.worker.reactions import Reactions, promotes
from pgqueue.worker.receipt import Entry
from pgqueue.worker.seat import AWAY, Seat

BROKEN = KeyError("nobody expects this")
WATCHER = Seat(1, 9, 15)
SETTINGS = WorkerSettings(heartbeat=2.0)
BACK = Entry(1, 7, RELEASED, queue="a", position=5)
SOON = Entry(2, 7, Snoozed(4.0), queue="a", position=6)
LATER = Entry(3, 7, Snoozed(4.1), queue="a", position=7)
IN_FLOW = Entry(4, 7, DONE_WELL, flow="f")

DONE: list[tuple[Event, list[Any]]] = [
    (events.LimitReached(), [call.life.send(events.LimitReached())]),
    (events.AnswerLost(), [call.heartbeat_thread.reconcile()]),
    (events.FlagsTold(up=True), [call.promoter.on_flags(up=True, raised=False)]),
    (events.HeartbeatWanted(), [call.heartbeat_thread.hurry(limits=False)]),
    (events.QueuesReady("ab"), [call.claimer.on_ready("ab")]),
    (events.TicketsWritten("fg", 0.003), [call.admitter.ticketed("fg", 0.003)]),
    (events.Looked(poll=True), [call.admitter.on_look(poll=True)]),
    (
        events.Written([BACK, LATER, SOON, IN_FLOW]),
        [
            call.promoter.due_in(4.0),
            call.claimer.on_rewind("a", 5),
            call.session.announce([("a", 5)]),
            call.admitter.ticketed({"f"}),
        ],
    ),
    (events.NotOurs(3), []),
    (events.CannotWrite(BROKEN), [call.life.send(events.CannotWrite(BROKEN))]),
    (events.CancelWanted([3, 4]), [call.runner.cancel([3, 4], "cancelled")]),
    (
        events.LeaseRevoked(),
        [
            call.runner.cancel_all("lost"),
            call.runner.empty_buffer(),
            call.asker.forget(),
            call.lease.forget(),
        ],
    ),
    (events.LeaseHeldAgain(), [call.claimer.on_room()]),
    (events.Rejoined(), [call.claimer.look_everywhere(), call.claimer.on_room()]),
    (
        events.ReadyAgain({"a": 5, "b": 7}),
        [call.claimer.on_rewind("a", 5), call.claimer.on_rewind("b", 7)],
    ),
    (events.NextDue(1.0), [call.promoter.due_in(1.0 + WATCHER.delay)]),
    (events.NextSlot(1.0), [call.heartbeat_thread.fire_in(1.0 + WATCHER.delay)]),
    (events.LimitsTold("{}"), [call.asker.on(events.LimitsTold("{}"))]),
    (events.PermitsMoved("a", 0), [call.asker.on(events.PermitsMoved("a", 0))]),
    (
        events.Seated(2, 9, 4, takes_jobs=True),
        [call.claimer.seating.on_heartbeat(2, 9, running=4, takes_jobs=True)],
    ),
    (events.FlowsSeen(20, 2), [call.admitter.on_fleet(20, 2)]),
    (events.LoopAnswered(0.5), [call.claimer.intake.answered(0.5), call.claimer.on_room()]),
    (events.ServerSilent(), [call.pool.distrust()]),
    (events.MinutePassed(), [call.pool.rest()]),
    (events.HeartbeatFailed(BROKEN), [call.life.send(events.HeartbeatFailed(BROKEN))]),
]


def reactions_of(machines: Mock, *, seat: Seat = WATCHER) -> Reactions:
    machines.claimer.seating.seat = seat
    names = (
        "claimer", "promoter", "admitter", "asker", "runner", "heartbeat_thread", "session",
        "lease", "pool", "life",
    )  # fmt: skip
    fields: dict[str, Any] = {name: getattr(machines, name) for name in names}
    return Reactions(settings=SETTINGS, **fields)


def test_each_event_has_a_line_here() -> None:
    assert [type(event) for event, _ in DONE] == list(get_args(Event))


@pytest.mark.parametrize(("event", "calls"), DONE, ids=lambda value: type(value).__name__)
def test_what_is_done(event: Event, calls: list[Any]) -> None:
    machines = Mock()
    machines.claimer.intake.answered.return_value = True
    reactions_of(machines).on(event)
    assert machines.mock_calls == calls


def test_an_outcome_that_is_dropped_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    reactions_of(Mock()).on(events.NotOurs(3))
    assert "job 3 was not this worker's any more" in caplog.text


@pytest.mark.parametrize("entries", [[], [LATER], [Entry(1, 7, RELEASED, queue="a")]])
def test_nothing_follows_where_nothing_is_ready_soon(entries: list[Entry]) -> None:
    """A job that has no position was not released to its old place."""
    machines = Mock()
    reactions_of(machines).on(events.Written(entries))
    assert machines.mock_calls == []


def test_a_worker_beside_the_watch_leaves_promotion_to_it() -> None:
    machines = Mock()
    reactions_of(machines, seat=AWAY).on(events.NextDue(1.0))
    assert machines.mock_calls == []


@pytest.mark.parametrize(
    ("seconds", "seat", "listen", "ours"),
    [
        (1.0, Seat(0), True, True),
        (1.0, Seat(2), True, True),
        (1.0, Seat(3), True, False),
        (1.0, AWAY, True, False),
        (1.0, AWAY, False, True),  # nobody is on watch behind a pooler
        (-0.5, AWAY, True, False),
        (-0.6, AWAY, True, True),  # nobody has promoted it
    ],
)
def test_who_promotes(seconds: float, seat: Seat, listen: bool, ours: bool) -> None:
    assert promotes(seconds, seat, listen=listen) is ours


def test_what_the_heartbeat_reads() -> None:
    machines: Any = Mock()
    machines.runner.running = 3
    machines.claimer.takes_jobs = True
    machines.claimer.cursors.return_value = [1, 2]
    machines.completer.successes.return_value = {(1, 2)}
    port = HeartbeatPort(
        claimer=machines.claimer, promoter=machines.promoter, runner=machines.runner,
        completer=machines.completer,
    )  # fmt: skip
    assert (port.running, port.takes_jobs, port.cursors()) == (3, True, [1, 2])
    assert port.successes() == {(1, 2)}
    assert port.due_since is machines.promoter.since
