"""What is claimed next, and what an answer says, in time that is handed in."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgqueue.worker.claim.plan import Answer, Kind, Plan, Request
from pgqueue.worker.claim.queue_state import Heat
from pgqueue.worker.seat import Seat

ALONE = Seat(0, 1, 15)
ASKED = Request(["a"], [0] * 10, 10)


def plan(*queues: str, heat: Heat = Heat.COLD) -> Plan:
    one = Plan(queues or ("a",))
    one.poll_at = 100.0
    for state in one.states.values():
        state.hot = heat
    return one


def rows(*places: tuple[str, int]) -> list[Any]:
    return [{"queue": q, "priority": 5, "position": position} for q, position in places]


def answer(quota: int, busy: tuple[str, ...] = (), **counts: int) -> Answer:
    return Answer(Counter(counts), quota, busy)


@pytest.mark.parametrize(
    ("now", "heat", "kind"),
    [
        (99.0, Heat.HOT, Kind.CLAIM),
        (99.0, Heat.ONCE, Kind.LOOK),
        (99.0, Heat.COLD, Kind.LOOK),
        (50.005, Heat.ONCE, Kind.CLAIM),  # a look back was a moment ago
        (50.005, Heat.COLD, Kind.LOOK),
        (100.0, Heat.HOT, Kind.POLL),
        (100.0, Heat.COLD, Kind.POLL),
    ],
)
def test_what_the_next_claim_is(now: float, heat: Heat, kind: Kind) -> None:
    one = plan(heat=heat)
    one.looked(50.0, 0.001)
    assert one.kind(list(one.states.values()), now) is kind


def test_queues_are_due_by_heat_by_a_look_and_by_a_look_back_that_was_put_off() -> None:
    one = plan("hot", "look", "owed", "quiet")
    one.states["hot"].hot = Heat.HOT
    one.states["look"].look_at(3.0)
    one.looked(1.0, 0.1)  # the next one not before 2.1
    assert one.owe([one.states["owed"]], 1.2)
    assert [state.name for state in one.due(1.2)[0]] == ["hot"]
    one.states["hot"].hot = Heat.COLD
    assert one.due(1.2) == ([], pytest.approx(2.1))
    assert [state.name for state in one.due(2.2)[0]] == ["owed"]
    one.states["owed"].owed = False
    assert one.due(2.2) == ([], 3.0)
    assert [state.name for state in one.due(3.0)[0]] == ["look"]
    one.look([one.states["look"]], 10, 3.0)
    assert one.due(3.0) == ([], 100.0)


def test_a_look_back_is_put_off_for_ten_times_what_the_last_one_took() -> None:
    one = plan()
    states = list(one.states.values())
    one.looked(1.0, 0.1)
    assert one.owe(states, 2.0)
    assert states[0].owed
    assert not one.owe(states, 2.2)
    assert not states[0].owed
    one.looked(5.0, 0.0)
    assert one.owe(states, 5.01)
    assert not one.owe(states, 5.03)


def test_a_claim_goes_on_at_the_cursor_and_a_look_begins_where_it_stood() -> None:
    one = plan()
    states = list(one.states.values())
    one.looked(9.9, 0.0)
    first = one.claim(states, 10, 10.0)
    assert one.advance(first, rows(("a", 7), ("a", 8))) == {"a": 2}
    assert one.claim(states, 10, 10.1).cursors[5] == 8
    assert one.look(states, 10, 10.2).cursors[5] == 0
    assert one.claim(states, 10, 10.3).cursors[5] == 8


def test_a_queue_that_is_never_short_is_looked_back_on_twice_a_second() -> None:
    one = plan()
    (state,) = one.states.values()
    one.looked(10.0, 0.0)
    one.claim([state], 10, 10.1)
    one.advance(ASKED, rows(("a", 8)))
    state.found(10, full=True, seat=ALONE, began=10.1, now=10.1)
    assert one.claim([state], 10, 10.2).cursors[5] == 8
    one.advance(ASKED, rows(("a", 12)))
    assert one.claim([state], 10, 10.6).cursors[5] == 8, "as it was"
    assert one.claim([state], 10, 10.65).cursors[5] == 12


def test_another_queue_is_first_each_time() -> None:
    one = plan("a", "b", "c")
    states = list(one.states.values())
    firsts: list[str] = []
    for n in range(4):
        request = one.claim(states, 9, float(n))
        firsts.append(request.queues[0])
        one.met(request.queues, (), ALONE, float(n), n + 0.1, limit=5.0)
    assert firsts == ["a", "b", "c", "a"]


@given(st.integers(1, 2_000), st.integers(1, 60))
def test_each_queue_has_its_share_and_all_of_the_room_is_shared(room: int, queues: int) -> None:
    quota = Request([str(n) for n in range(queues)], [], room).quota
    assert quota >= 1
    assert (quota - 1) * queues < room <= quota * queues


@pytest.mark.parametrize(
    ("count", "busy", "heat", "full", "short", "grown"),
    [
        (5, False, Heat.HOT, True, False, False),
        (4, False, Heat.COLD, False, True, False),
        (0, False, Heat.COLD, False, True, False),
        (0, True, Heat.COLD, False, False, False),
    ],
)
def test_what_an_answer_says_of_a_queue(
    count: int, busy: bool, heat: Heat, full: bool, short: bool, grown: bool
) -> None:
    one = plan()
    (state,) = one.states.values()
    said = answer(5, ("a",) if busy else (), a=count)
    got = one.found([state], said, ALONE, 1.0, 1.1, light=True)
    assert (state.hot, state.full_since is not None) == (heat, full)
    assert got == ([state] if short else [], [state] if grown else [])


def test_a_stream_that_is_more_than_there_is_room_for_has_grown() -> None:
    one = plan()
    (state,) = one.states.values()
    state.stream.begin(1, 1.0)
    assert one.found([state], answer(5, a=5), ALONE, 1.0, 1.1, light=True) == ([], [])
    assert state.streaming, "short jobs: there is room again at once"
    assert one.found([state], answer(5, a=5), ALONE, 1.0, 1.1, light=False) == ([], [state])
    assert not state.streaming


def test_a_claim_that_took_half_its_time_is_given_more() -> None:
    one = plan()
    one.met(["a"], (), ALONE, 1.0, 6.1, limit=5.0)
    assert one.long
    one.met(["a"], (), ALONE, 7.0, 7.1, limit=5.0)
    assert (one.long, one.claims) == (False, 2)


def test_a_rewind_while_a_claim_is_on_its_way_outlasts_it() -> None:
    one = plan()
    (state,) = one.states.values()
    request = one.claim([state], 10, 1.0)
    one.cursors.rewind("a", 3)
    one.advance(request, rows(("a", 9)))
    assert one.cursors.now(["a"])[5] == 2


@pytest.mark.parametrize(("took", "steps"), [(0.0105, False), (0.0115, True)])
def test_a_long_walk_in_vain_is_stepped_over_once_a_second(took: float, steps: bool) -> None:
    one = plan()
    (state,) = one.states.values()
    assert one.steps([state], took, 5.0) is steps
    assert not one.steps([state], took, 5.9)
    assert one.steps([state], took, 6.1) is steps


@pytest.mark.parametrize(
    ("said", "cursor", "heat"),
    [
        (answer(5), 40, Heat.COLD),
        (answer(5, a=1), 0, Heat.HOT),
        (answer(5, ("a",)), 0, Heat.COLD),
    ],
)
def test_a_step_is_taken_only_past_what_was_looked_at_in_vain(
    said: Answer, cursor: int, heat: Heat
) -> None:
    one = plan()
    newest = {"a": 40}
    before = one.behind(newest)
    assert list(before) == ["a"]
    one.step(before, newest, said)
    assert (one.cursors.now(["a"])[5], one.states["a"].hot) == (cursor, heat)
    assert (one.behind(newest) == {}) is (cursor == 40)


def test_no_step_is_taken_past_what_was_rewound_meanwhile() -> None:
    one = plan()
    one.cursors.step("a", 30)
    newest = {"a": 40}
    before = one.behind(newest)
    one.cursors.rewind("a", 20)
    one.step(before, newest, answer(5))
    assert one.cursors.now(["a"])[5] == 19


def test_polls_of_workers_that_began_together_spread() -> None:
    moments: set[float] = set()
    for _ in range(20):
        one = plan()
        one.polled(10.0, 5.0)
        assert 14.0 <= one.poll_at <= 15.0
        moments.add(one.poll_at)
    assert len(moments) > 1
