"""Below what admissions need not look: nothing that may still appear is ever below."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pgqueue.worker.flows.floors import EVER, Floors
from pgqueue.worker.flows.known import Known
from pgqueue.worker.flows.throughput import Throughput

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def answer(**values: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "lowest": None, "first_turn": None, "newest_ticket": 0, "following": 100, "oldest": 100,
        "cleared": True, "server": "monday",
    }  # fmt: skip
    return {**usual, **values}


def test_the_floor_of_positions_is_below_the_lowest() -> None:
    floors = Floors()
    floors.learn(answer(lowest=7))
    assert floors.position == 6
    floors.learn(answer(lowest=None))  # those that came since are above it
    assert floors.position == 6


def test_tickets_are_over_once_all_is_over_that_could_bring_them() -> None:
    floors = Floors()
    floors.learn(answer(newest_ticket=10, oldest=90, following=100))
    assert floors.ticket == 0
    floors.learn(answer(newest_ticket=12, oldest=99, following=110))
    assert floors.ticket == 0  # the transaction 99 may have ticket 10
    floors.learn(answer(newest_ticket=15, oldest=100, following=120))
    assert floors.ticket == 10
    floors.learn(answer(newest_ticket=20, oldest=119, following=130))
    assert floors.ticket == 10
    floors.learn(answer(newest_ticket=20, oldest=120, following=130))
    assert floors.ticket == 15


def test_tickets_that_were_left_hold_the_floor_down() -> None:
    floors = Floors()
    floors.learn(answer(newest_ticket=9_000, following=100))
    floors.learn(answer(newest_ticket=9_000, following=100, cleared=False))
    assert floors.ticket == 0
    floors.learn(answer(newest_ticket=9_000, following=100))
    assert floors.ticket == 9_000


def test_turns_only_grow_and_a_clock_that_goes_back_is_noticed() -> None:
    floors = Floors()
    floors.learn(answer(first_turn=NOON, lowest=7))
    floors.learn(answer())
    assert floors.turn == NOON
    floors.learn(answer(first_turn=NOON + timedelta(seconds=1)))
    assert floors.turn == NOON + timedelta(seconds=1)
    floors.learn(answer(first_turn=NOON))
    assert (floors.turn, floors.position) == (EVER, 0)


def test_numbers_that_go_back_are_those_of_another_server() -> None:
    floors = Floors()
    floors.learn(answer(newest_ticket=10, lowest=7))
    floors.learn(answer(newest_ticket=9))
    assert (floors.position, floors.ticket) == (0, 0)


def test_what_one_server_told_is_not_known_of_another() -> None:
    known = Known()
    known.on(None).learn("f", answer(lowest=7))
    assert known.on(1).of("f").position == 0  # it was told on a connection that is gone
    known.on(1).learn("f", answer(lowest=7))
    assert known.on(1).of("f").position == 6
    assert known.on(1).server == "monday"
    known.learn("g", answer(lowest=9, server="tuesday"))  # behind a pooler
    assert known.on(1).of("f").position == 0
    assert known.on(1).of("g").position == 8
    assert known.on(2).of("g").position == 0


def test_of_a_flow_that_is_not_there_nothing_is_kept() -> None:
    known = Known().on(1)
    known.learn("nosuch", answer(newest_ticket=None, following=None, oldest=None))
    assert known.of("nosuch").position == 0
    assert known.floors == {}


def test_so_many_are_admitted_ahead_as_the_fleet_begins_at_once() -> None:
    throughput = Throughput(10)
    assert throughput.ready_most(0, 1.0) == 20
    throughput.slots = 50
    assert throughput.ready_most(0, 1.01) == 100
    assert throughput.ready_most(700, 1.05) == 700
    throughput.workers = 4
    assert throughput.ready_most(1_000, 1.1) == 4_000
    assert throughput.ready_most(1_000, 2.0) < 200  # it has been quiet
    assert throughput.ready_most(1_000, 3.0) == 100
    assert throughput.ready_most(10_000_000, 3.1) == 100_000


def test_a_flow_that_is_not_there_tells_nothing() -> None:
    floors = Floors()
    floors.learn(answer(newest_ticket=10, oldest=90, following=100))
    floors.learn(answer(newest_ticket=None, oldest=None, following=None, cleared=None))
    floors.learn(answer(newest_ticket=12, oldest=100, following=110))
    assert floors.ticket == 10
