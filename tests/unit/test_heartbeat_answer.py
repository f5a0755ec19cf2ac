"""What a heartbeat asks, and what its answer says."""

from __future__ import annotations

from typing import Any

import pytest

from pgqueue.worker.events import (
    CancelWanted,
    FlowsSeen,
    LeaseHeldAgain,
    LimitsTold,
    NextDue,
    NextSlot,
    Seated,
)
from pgqueue.worker.fleet.census import Census
from pgqueue.worker.fleet.heartbeat_answer import Heard, Renewals, Sent, read

SENT = Sent(every=2.0, running=3, takes_jobs=True, looks=True, counts=True)
SEATED = Seated(1, 9, 3, takes_jobs=True)
FREE = LimitsTold(None)


def row(**values: Any) -> dict[str, Any]:
    usual = {"before": 1, "cancelled": [], "next_due": None, "next_slot": None, "age": 2.0}
    usual |= {"has_flows": False, "slots": None, "limits": None, "dead_rows": None}
    return {**usual, "expired": [], "vanished": [], **values}


def heard(
    answer: dict[str, Any], *, expired: bool = False, at_rest: bool = False, sent: Sent = SENT
) -> Heard:
    return read(answer, sent, expired=expired, workers=12, alike=9, at_rest=at_rest)


@pytest.mark.parametrize(
    ("answer", "expired", "events"),
    [
        ({}, False, [SEATED, FREE]),
        ({}, True, [LeaseHeldAgain(), SEATED, FREE]),
        ({"cancelled": [4, 5]}, False, [SEATED, FREE, CancelWanted([4, 5])]),
        ({"has_flows": True, "slots": 40}, False, [SEATED, FlowsSeen(40, 12), FREE]),
        (
            {"cancelled": [4], "next_due": 1.0},
            False,
            [SEATED, FREE, CancelWanted([4]), NextDue(1.0)],
        ),
    ],
)
def test_what_the_worker_is_told(answer: dict[str, Any], expired: bool, events: list[Any]) -> None:
    assert heard(row(**answer), expired=expired) == Heard(events, False, [], [])


@pytest.mark.parametrize(
    ("next_due", "at_rest", "told"),
    [
        (4.0, False, True),
        (4.1, False, False),
        (0.1, True, False),
        (0.0, True, True),
        (-9.0, True, True),
    ],
)
def test_a_job_that_is_due_soon_is_told(next_due: float, at_rest: bool, told: bool) -> None:
    events = heard(row(next_due=next_due), at_rest=at_rest).events
    assert (NextDue(next_due) in events) is told


@pytest.mark.parametrize(
    ("next_slot", "at_rest", "told"), [(4.0, False, True), (0.1, True, False), (-9.0, True, True)]
)
def test_a_slot_that_is_due_soon_is_told(next_slot: float, at_rest: bool, told: bool) -> None:
    events = heard(row(next_slot=next_slot), at_rest=at_rest).events
    assert (NextSlot(next_slot) in events) is told


@pytest.mark.parametrize(("age", "judges"), [(2.0, True), (5.0, True), (5.1, False)])
def test_a_worker_whose_own_heartbeat_was_late_takes_nobody_for_lost(
    age: float, judges: bool
) -> None:
    got = heard(row(age=age, expired=[7], vanished=[8]))
    assert got == Heard([SEATED, FREE], not judges, [7] if judges else (), [8] if judges else ())


def test_another_server_is_known_by_its_start() -> None:
    renewals = Renewals()
    answers = ["monday", "monday", "tuesday", "tuesday", "monday"]
    assert [renewals.on_server(start) for start in answers] == [False, False, True, False, True]


def test_a_census_begins_alone_and_on_watch() -> None:
    census = Census(2.0, 15.0)
    assert (census.workers, census.alike, census.spacing) == (1, 1, 2.0)
    assert not census.at_rest(0, stopping=False)
    assert (census.share_of_looks(), census.share_of_counts()) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("before", "running", "stopping", "rests"),
    [
        (3, 0, False, True),
        (2, 0, False, False),
        (3, 1, False, False),
        (3, 0, True, False),
    ],
)
def test_who_is_at_rest(before: int, running: int, stopping: bool, rests: bool) -> None:
    census = Census(2.0, 60.0)
    census.learn(before, None)
    assert census.at_rest(running, stopping=stopping) is rests
    assert census.every(at_rest=rests) == (8.0 if rests else 2.0)


def test_a_census_keeps_what_was_counted_last() -> None:
    census = Census(2.0, 15.0)
    census.learn(0, (4000, 100))
    census.learn(0, None)
    assert (census.workers, census.alike) == (4000, 100)
    assert census.every(at_rest=False) == 3.75, "four a lease at the least"
    assert (census.share_of_looks(), census.share_of_counts()) == (0.001, 0.125)
    census.spacing = 4.0
    assert census.share_of_looks() == 0.002
    assert census.passed_every(5.0, listen=True) == 5.0
    assert census.passed_every(5.0, listen=False) == 10.0
