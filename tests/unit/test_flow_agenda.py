"""When a worker looks at which flow, in simulated time."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pgqueue.worker.flows.agenda import Agenda, Look
from pgqueue.worker.flows.search import Search
from pgqueue.worker.timings import FLOW_TIMINGS as TIMINGS

BUSY = {"admitted": -1, "more": True, "wait": None}


def answer(admitted: int = 0, *, more: bool = False, wait: float | None = None) -> dict[str, Any]:
    return {"admitted": admitted, "more": more, "wait": wait}


def taken(agenda: Agenda, now: float) -> tuple[str, Look]:
    found = agenda.take(now)
    assert found is not None
    return found


def test_nothing_is_to_be_done_without_a_word() -> None:
    agenda = Agenda()
    assert agenda.take(1e9) is None
    assert agenda.next_at == math.inf


def test_flows_with_tickets_are_looked_at_once_in_the_order_of_their_words() -> None:
    agenda = Agenda()
    agenda.ticketed(["b"], 1.0)
    agenda.ticketed(["a", "b"], 2.0)
    assert [taken(agenda, 2.0)[0] for _ in "ab"] == ["b", "a"]
    assert agenda.take(9.0) is None


def test_who_hears_a_word_with_others_waits_for_its_turn() -> None:
    agenda = Agenda()
    agenda.ticketed(["a"], 1.0, delay=0.006)
    assert agenda.take(1.005) is None
    assert agenda.next_at == pytest.approx(1.006)
    agenda.ticketed(["a"], 1.001)  # an outcome of its own
    assert taken(agenda, 1.001) == ("a", Look(1.001))


def test_a_ticket_during_a_look_is_looked_for_again() -> None:
    agenda = Agenda()
    agenda.ticketed(["a"], 1.0)
    flow, look = taken(agenda, 1.0)
    agenda.ticketed(["a"], 1.1)
    agenda.answered(flow, look, answer(5), 1.2)
    assert taken(agenda, 1.2) == ("a", Look(1.1))


def test_more_is_looked_for_at_once() -> None:
    agenda = Agenda()
    agenda.ticketed(["a"], 1.0)
    agenda.answered(*taken(agenda, 1.0), answer(5, more=True), 1.2)
    assert taken(agenda, 1.2) == ("a", Look(1.2))


def test_who_finds_another_at_it_looks_again_ever_less_often() -> None:
    agenda, now = Agenda(), 1.0
    agenda.ticketed(["a"], now)
    waits: list[float] = []
    for _ in range(12):
        flow, look = taken(agenda, now)
        agenda.answered(flow, look, BUSY, now)
        agenda.ticketed(["a"], now)  # does not bring it forward
        waits.append(round(1000 * (agenda.next_at - now), 3))
        now = agenda.next_at
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 250, 250, 250, 250]
    flow, look = taken(agenda, now)
    agenda.answered(flow, look, answer(), now)
    assert agenda.next_at == math.inf
    agenda.ticketed(["a"], now)
    agenda.answered(*taken(agenda, now), BUSY, now)
    assert agenda.next_at == pytest.approx(now + 0.001)


def test_a_rate_is_waited_for() -> None:
    agenda = Agenda()
    agenda.ticketed(["a"], 1.0)
    agenda.answered(*taken(agenda, 1.0), answer(2, wait=0.5), 1.0)
    assert agenda.next_at == pytest.approx(1.5)
    agenda.ticketed(["a"], 1.1)  # it may have jobs that need no token
    assert taken(agenda, 1.1) == ("a", Look(1.1))


def test_who_is_never_first_comes_ever_later_and_the_first_one_never() -> None:
    """Of fifty workers that wait for the same token one should ask, and not all."""
    first, other, now = Agenda(), Agenda(), 1.0
    for agenda in (first, other):
        agenda.ticketed(["a"], now)
        agenda.answered(*taken(agenda, now), answer(wait=0.01), now)
    late: list[float] = []
    for _ in range(15):
        now += 0.01
        assert first.next_at == pytest.approx(now)
        first.answered(*taken(first, now + 1e-9), answer(1, wait=0.01), now)
        if (found := other.take(now)) is not None:
            other.answered(*found, answer(0, wait=0.01), now)
            late.append(other.next_at - now - 0.01)
    assert late == sorted(late)
    assert len(late) < 8
    for _ in range(30):
        now = other.next_at
        other.answered(*taken(other, now), answer(0, wait=0.01), now)
    assert other.next_at == pytest.approx(now + 0.01 + TIMINGS.late_most)
    now = other.next_at
    other.answered(*taken(other, now), answer(1, wait=0.01), now)
    assert other.next_at == pytest.approx(now + 0.01)


def test_a_look_for_tickets_that_finds_none_makes_nobody_late() -> None:
    agenda = Agenda()
    for n in range(20):
        agenda.ticketed(["a"], float(n))
        agenda.answered(*taken(agenda, float(n)), answer(0, wait=0.5), float(n))
    assert agenda.next_at == pytest.approx(19.5)


def test_a_flow_that_is_refused_keeps_no_other_waiting() -> None:
    agenda = Agenda()
    agenda.ticketed(["bad", "good"], 1.0)
    flow, _ = taken(agenda, 1.0)
    agenda.refused(flow, 1.0)
    agenda.ticketed(["bad"], 2.0)
    assert taken(agenda, 2.0)[0] == "good"
    assert agenda.next_at == pytest.approx(1.0 + TIMINGS.refused)


def test_tickets_are_searched_for_when_it_is_wanted_and_not_too_often() -> None:
    search = Search()
    assert search.at == math.inf
    assert search.want(1.0, lines=False)
    assert not search.want(1.1, lines=True)  # that one will do
    assert search.at == 1.0
    assert search.begin()
    search.end(1.0, 1.0005)
    assert search.at == math.inf
    assert search.want(1.001, lines=False)
    assert search.at == pytest.approx(1.0005 + TIMINGS.search_spacing)


def test_what_is_wanted_during_a_search_is_for_the_next_one() -> None:
    search = Search()
    search.want(1.0, lines=False)
    assert not search.begin()
    search.want(1.05, lines=True)
    search.end(1.0, 1.1)
    assert search.at == pytest.approx(1.1 + 0.1 * TIMINGS.search_share)
    assert search.begin()
