"""The places of a supervisor's processes: every event in every state, and any order of ends."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgqueue.supervisor.slots import (
    FIRST_DELAY,
    LONGEST_DELAY,
    MOVES,
    STEADY_AFTER,
    TRIES,
    WRONG,
    Ending,
    Event,
    Slot,
    State,
    is_lasting,
    next_to_replace,
    roll_of_all,
    tried_enough,
)

CRASH = Ending(-9, started=True, stopped=False, why=None, age=1.0)
IN_ORDER = Ending(0, started=True, stopped=True, why=None, age=1.0)
STILLBORN = Ending(1, started=False, stopped=False, why=None, age=1.0)


def empty() -> Slot[str]:
    return Slot[str](1)


def starting() -> Slot[str]:
    slot = empty()
    slot.fill("old", 0.0)
    return slot


def serving() -> Slot[str]:
    slot = starting()
    slot.started("old")
    return slot


def with_successor() -> Slot[str]:
    slot = serving()
    slot.succeed("new")
    return slot


def vacant() -> Slot[str]:
    slot = with_successor()
    slot.ended("old", CRASH, 5.0)
    return slot


def leaving() -> Slot[str]:
    slot = with_successor()
    slot.stop()
    return slot


MAKE: dict[State, Callable[[], Slot[str]]] = {
    State.EMPTY: empty,
    State.STARTING: starting,
    State.SERVING: serving,
    State.SUCCESSOR: with_successor,
    State.VACANT: vacant,
    State.LEAVING: leaving,
}
HAPPEN: dict[Event, Callable[[Slot[str]], object]] = {
    Event.FILLED: lambda slot: slot.fill(slot.successor or "next", 7.0),
    Event.NOT_FILLED: lambda slot: slot.fill(None, 7.0),
    Event.STARTED: lambda slot: slot.started("old"),
    Event.ENDED: lambda slot: slot.ended("old", CRASH, 7.0),
    Event.SUCCESSOR_SPAWNED: lambda slot: slot.succeed("new"),
    Event.SUCCESSOR_STARTED: lambda slot: slot.started("new"),
    Event.SUCCESSOR_ENDED: lambda slot: slot.ended("new", CRASH, 7.0),
    Event.STOP: lambda slot: slot.stop(),
}


def check(slot: Slot[str]) -> None:
    """Who is in a slot is what its state says."""
    present = slot.current is not None, slot.successor is not None, slot.spawn_at is not None
    match slot.state:
        case State.EMPTY:
            assert present == (False, False, True)
        case State.STARTING | State.SERVING:
            assert present == (True, False, False)
        case State.SUCCESSOR:
            assert present == (True, True, False)
        case State.VACANT:
            assert present == (False, True, True)
        case State.LEAVING:
            assert not present[2]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_every_event_in_every_state(state: State, event: Event) -> None:
    slot = MAKE[state]()
    assert slot.state is state
    HAPPEN[event](slot)
    assert slot.state is MOVES.get((state, event), state)
    check(slot)


@given(st.lists(st.tuples(st.sampled_from(Event), st.floats(0.0, 100.0))))
def test_any_order_of_events(events: list[tuple[Event, float]]) -> None:
    """A slot that is not filled is due at a time that is near, until the supervisor stops."""
    slot, now, names = empty(), 0.0, iter(map(str, range(10_000)))
    for event, seconds in events:
        now += seconds
        match event:
            case Event.FILLED:
                slot.fill(slot.successor or next(names), now)
            case Event.NOT_FILLED if slot.successor is None:
                slot.fill(None, now)
            case Event.STARTED if slot.state is State.STARTING and slot.current:
                assert slot.started(slot.current) is None
                assert slot.failures == 0
            case Event.ENDED if slot.current:
                slot.ended(slot.current, CRASH, now)
            case Event.SUCCESSOR_SPAWNED:
                slot.succeed(next(names))
            case Event.SUCCESSOR_STARTED if slot.successor:
                before = None if slot.state is State.LEAVING else slot.current
                assert slot.started(slot.successor) == before
            case Event.SUCCESSOR_ENDED if slot.successor:
                slot.ended(slot.successor, CRASH, now)
            case Event.STOP:
                slot.stop()
            case _:
                pass
        check(slot)
        if slot.spawn_at is not None:
            assert slot.spawn_at <= now + LONGEST_DELAY
            assert slot.is_due(slot.spawn_at)


def test_what_ended_in_order_is_followed_at_once() -> None:
    slot = serving()
    assert slot.ended("old", IN_ORDER, 50.0) is Event.ENDED
    assert slot.is_due(50.0)


def test_each_failure_doubles_the_delay() -> None:
    slot, now, delays = empty(), 0.0, list[float]()
    for n in range(12):
        slot.fill("p", now)
        slot.ended("p", STILLBORN, now)
        assert slot.spawn_at is not None
        delays.append(slot.spawn_at - now)
        now = slot.spawn_at
        assert slot.failures == n + 1
    assert delays[:4] == pytest.approx([FIRST_DELAY * 2**n for n in range(4)])
    assert delays[-1] == pytest.approx(LONGEST_DELAY)


def test_what_cannot_be_spawned_is_tried_again_later_and_later() -> None:
    slot, delays = empty(), list[float]()
    for _ in range(3):
        slot.fill(None, 100.0)
        assert slot.spawn_at is not None
        delays.append(slot.spawn_at - 100.0)
    assert delays == pytest.approx([0.1, 0.2, 0.4])


@pytest.mark.parametrize(("age", "delay"), [(STEADY_AFTER, 0.2), (STEADY_AFTER + 1, 0.1)])
def test_who_ran_for_long_is_followed_soon(age: float, delay: float) -> None:
    slot = serving()
    slot.ended("old", CRASH, 0.0)
    slot.fill("p", 1.0)
    slot.ended("p", Ending(-9, started=True, stopped=False, why=None, age=age), 100.0)
    assert slot.spawn_at == pytest.approx(100.0 + delay)


def test_who_was_replaced_ends_without_consequence() -> None:
    slot = with_successor()
    assert slot.started("new") == "old"
    assert slot.ended("old", CRASH, 9.0) is None
    assert (slot.state, slot.current, slot.spawn_at) == (State.SERVING, "new", None)


def test_one_that_retires_is_followed_by_the_successor_that_starts_already() -> None:
    slot = with_successor()
    slot.fill(slot.successor, 3.0)
    assert (slot.state, slot.current, slot.successor) == (State.STARTING, "new", None)


def test_one_at_a_time_is_replaced_and_those_that_start_are_waited_for() -> None:
    slots = [serving(), empty(), starting(), serving()]
    roll = deque(slots)
    assert next_to_replace(slots, roll) is slots[0]
    slots[0].succeed("new")
    assert next_to_replace(slots, roll) is None
    slots[0].started("new")
    assert next_to_replace(slots, roll) is None  # the empty one is left out, the third starts
    assert list(roll) == slots[2:]
    slots[2].started("old")
    assert next_to_replace(slots, roll) is slots[2]
    assert next_to_replace(slots, roll) is slots[3]
    assert next_to_replace(slots, roll) is None


@pytest.mark.parametrize(
    ("ending", "reached", "lasting"),
    [
        (Ending(WRONG, started=False, stopped=False, why=None, age=0.1), True, True),
        (Ending(1, started=False, stopped=False, why="refused", age=0.1), False, True),
        (Ending(1, started=False, stopped=False, why="refused", age=0.1), True, False),
        (STILLBORN, False, False),
        (Ending(WRONG, started=True, stopped=False, why="so", age=0.1), False, False),
        (IN_ORDER, False, False),
    ],
)
def test_what_would_fail_again(ending: Ending, reached: bool, lasting: bool) -> None:
    assert is_lasting(ending, reached=reached) is lasting


def test_all_slots_are_tried_often_enough() -> None:
    slots = [empty(), empty()]
    slots[0].failures = TRIES
    assert not tried_enough(STILLBORN, slots, reached=False)
    slots[1].failures = TRIES
    assert tried_enough(STILLBORN, slots, reached=False)
    assert not tried_enough(STILLBORN, slots, reached=True)
    assert not tried_enough(CRASH, slots, reached=False)


@pytest.mark.parametrize(
    ("ending", "held", "spoils"),
    [
        (CRASH, True, True),
        (IN_ORDER, False, False),
        (Ending(1, started=True, stopped=True, why=None, age=1.0), False, True),
        (Ending(0, started=True, stopped=False, why=None, age=1.0), True, True),
        (Ending(1, started=False, stopped=False, why="refused", age=1.0), False, True),
        (Ending(-signal.SIGTERM, started=False, stopped=False, why=None, age=1.0), True, False),
        (Ending(-signal.SIGTERM, started=True, stopped=False, why=None, age=1.0), True, True),
    ],
)
def test_what_an_end_means(ending: Ending, held: bool, spoils: bool) -> None:
    assert (ending.held_jobs, ending.spoils_a_stop) == (held, spoils)


def test_a_slot_that_rests_is_filled_once_all_are_to_be_replaced() -> None:
    slot = starting()
    slot.ended("old", STILLBORN, 5.0)
    slot.rest()
    assert not slot.is_due(1e9)
    assert list(roll_of_all([slot], 7.0)) == [slot]
    assert slot.is_due(7.0)


def test_only_an_empty_slot_rests_or_is_woken() -> None:
    for slot in (starting(), serving(), with_successor()):
        slot.wake(1.0)
        assert not slot.is_due(1e9)
    slot = vacant()
    slot.rest()
    assert next_to_replace([slot], roll_of_all([slot], 1.0)) is None
