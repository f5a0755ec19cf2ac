"""Lower priorities behind a steady stream of higher ones, in time that is handed in."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import pytest

from pgqueue.worker.claim.ageing import PASSED_BY, Ageing
from pgqueue.worker.claim.plan import Answer, Plan
from pgqueue.worker.claim.queue_state import Heat
from pgqueue.worker.seat import Seat

ALONE = Seat(0, 1, 15)


def drained(one: Ageing, claims: int, every: float, *, below: int | None = 9) -> list[int]:
    """Let priority 0 have ever more jobs; return where each claim began."""
    starts: list[int] = []
    for n in range(claims):
        start = one.start(n * every)
        last = 0 if start == 0 else below
        one.answered(start, last, n * every, full=last is not None)
        starts.append(start)
    return starts


def test_the_order_is_strict_for_some_seconds() -> None:
    assert set(drained(Ageing(), 400, 0.01)) == {0}


def test_then_one_of_sixteen_claims_begins_below_while_there_is_something() -> None:
    starts = drained(Ageing(), 1000, 0.1)
    first = starts.index(1)
    assert 4.9 <= first * 0.1 <= 5.5
    assert sum(start > 0 for start in starts[first:]) == pytest.approx(950 / 17, abs=2)


def test_where_nothing_is_below_a_look_costs_one_claim_in_some_seconds() -> None:
    starts = drained(Ageing(), 10_000, 0.01, below=None)
    assert sum(start > 0 for start in starts) <= 100 / 5


def test_where_claims_are_rare_a_lower_priority_waits_for_a_minute_or_four_claims() -> None:
    assert drained(Ageing(), 6, 30.0)[:5] == [0, 0, 0, 0, 1]
    starts = drained(Ageing(), 8, 15.0)
    assert starts.index(1) == 4


def test_every_priority_has_its_turn() -> None:
    one, starts = Ageing(), Counter[int]()
    for n in range(3000):
        start = one.start(n * 0.1)
        one.answered(start, start, n * 0.1, full=True)  # each has more than a claim may take
        starts[start] += 1
    rest = [starts[priority] for priority in range(1, 10)]
    assert min(rest) >= max(rest) - 1 > 10


def test_a_claim_that_comes_down_to_the_last_priority_begins_anew() -> None:
    one = Ageing()
    for n in range(100):
        assert one.start(n * 0.1) == 0
        one.answered(0, 0, n * 0.1, full=n % 40 > 0)


class Table:
    """Jobs of one queue as a claim takes them; priority 0 never ends."""

    def __init__(self, low: int) -> None:
        self.low = deque(range(1, low + 1))
        self.position = low
        self.taken: list[tuple[float, int]] = []

    def claim(self, cursors: list[int], room: int, now: float) -> list[Any]:
        records: list[Any] = []
        if cursors[0] < PASSED_BY:
            for _ in range(room):
                self.position += 1
                records.append({"queue": "a", "priority": 0, "position": self.position})
        while self.low and len(records) < room and self.low[0] > cursors[9]:
            records.append({"queue": "a", "priority": 9, "position": self.low.popleft()})
        self.taken += [(now, record["priority"]) for record in records]
        return records


def run(table: Table, seconds: float, every: float, room: int = 10) -> Plan:
    plan = Plan(["a"])
    plan.poll_at = float("inf")
    states = list(plan.states.values())
    for n in range(int(seconds / every)):
        now = n * every
        request = plan.claim(states, room, now)
        records = table.claim(request.cursors, request.room, now)
        counts = plan.advance(request, records) if records else Counter[str]()
        answer = Answer(counts, request.quota, (), below=request.below)
        assert plan.found(states, answer, ALONE, now, now, light=True)[0] == []
        assert states[0].hot is Heat.HOT  # it goes on at the first priority
    return plan


def test_low_jobs_begin_behind_a_stream_of_high_ones() -> None:
    table = Table(low=30)
    run(table, 20.0, 0.05)
    low = [now for now, priority in table.taken if priority == 9]
    assert len(low) == 30
    assert low[0] >= 5.0
    # The turn of each priority comes once in nine; there is but one that has jobs.
    assert low[-1] <= 10.0


def test_cursors_stay_where_they_were() -> None:
    table = Table(low=1)
    plan = run(table, 20.0, 0.05)
    cursors = plan.cursors.now(["a"])
    assert max(cursors) < PASSED_BY
    assert cursors[9] == 1
    assert [now for now, priority in table.taken if priority == 9]
