"""What a worker does when its heartbeat says something: one line an event, and none left out."""

from __future__ import annotations

from typing import Any, cast, get_args
from unittest.mock import Mock, call

import pytest

from pgqueue.worker.fleet import events
from pgqueue.worker.fleet.events import Event
from pgqueue.worker.heartbeat_port import HeartbeatPort, promotes
from pgqueue.worker.seat import AWAY, Seat

BROKEN = KeyError("nobody expects this")
WATCHER = Seat(1, 9, 15)

DONE: list[tuple[Event, list[Any]]] = [
    (events.CancelWanted([3, 4]), [call.runner.cancel([3, 4], "cancelled")]),
    (
        events.LeaseRevoked(),
        [call.runner.cancel_all("lost"), call.runner.empty_buffer(), call.lease.forget()],
    ),
    (events.LeaseHeldAgain(), [call.claimer.on_room()]),
    (events.Rejoined(), [call.claimer.look_everywhere(), call.claimer.on_room()]),
    (
        events.ReadyAgain({"a": 5, "b": 7}),
        [call.claimer.on_rewind("a", 5), call.claimer.on_rewind("b", 7)],
    ),
    (events.NextDue(1.0), [call.promoter.due_in(1.0 + WATCHER.delay)]),
    (
        events.Seated(2, 9, 4, takes_jobs=True),
        [call.claimer.seating.on_heartbeat(2, 9, running=4, takes_jobs=True)],
    ),
    (events.ServerSilent(), [call.pool.distrust()]),
    (events.MinutePassed(), [call.pool.rest()]),
    (events.HeartbeatFailed(BROKEN), [call.fail(BROKEN)]),
]


def port_of(machines: Mock, *, seat: Seat = WATCHER) -> HeartbeatPort:
    machines.claimer.seating.seat = seat
    names = ("claimer", "promoter", "runner", "completer", "lease", "pool", "fail")
    fields: dict[str, Any] = {name: getattr(machines, name) for name in names}
    return HeartbeatPort(listen=True, **fields)


def test_each_event_has_a_line_here() -> None:
    assert [type(event) for event, _ in DONE] == list(get_args(Event))


@pytest.mark.parametrize(("event", "calls"), DONE, ids=lambda value: type(value).__name__)
def test_what_is_done(event: Event, calls: list[Any]) -> None:
    machines = Mock()
    port_of(machines).take(event)
    assert machines.mock_calls == calls


def test_a_worker_beside_the_watch_leaves_promotion_to_it() -> None:
    machines = Mock()
    port_of(machines, seat=AWAY).take(events.NextDue(1.0))
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
    machines = Mock()
    machines.runner.running = 3
    machines.claimer.takes_jobs = True
    machines.claimer.cursors.return_value = [1, 2]
    machines.completer.successes.return_value = {(1, 2)}
    port = port_of(machines)
    assert (port.running, port.takes_jobs, port.cursors()) == (3, True, [1, 2])
    assert port.successes() == {(1, 2)}
    assert port.due_since is cast("Any", machines).promoter.since
