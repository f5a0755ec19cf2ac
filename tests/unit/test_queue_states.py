"""What a claimer does at one queue: each state, each event, in time that is handed in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgqueue.worker.claim.queue_state import Heat, QueueState
from pgqueue.worker.seat import Seat

FIRST, SECOND, AWAY = Seat(0, 9, 15), Seat(1, 9, 15), Seat(None, 9, 15)


def quiet(flag: bool | None = True) -> QueueState:
    state = QueueState("q")
    state.hot, state.flag = Heat.COLD, flag
    return state


def found(
    state: QueueState, count: int, now: float, *,
    full: bool = False, seat: Seat = FIRST, light: bool = True,
) -> None:  # fmt: skip
    state.hot = Heat.COLD
    state.found(count, full=full, seat=seat, began=now, now=now, light=light)


def crowd(state: QueueState, now: float, *, every: float = 0.0005, seat: Seat = FIRST) -> None:
    """Jobs that are enqueued, notified and found one by one."""
    for n in range(20):
        state.on_notification(seat, now + every * n)
        found(state, 1, now + every * n, seat=seat)


def streaming() -> QueueState:
    state = quiet()
    crowd(state, 0.0)
    assert state.streaming
    state.before_own_lowering(heard=True)
    state.on_lowered(0.009)
    state.on_own_lowering(True, 0.01)
    return state


def full() -> QueueState:
    state = quiet()
    found(state, 5, 0.0, full=True)
    return state


def test_the_first_of_the_watch_looks_at_once_and_the_others_later() -> None:
    first, second = quiet(), quiet()
    first.on_notification(FIRST, 1.0)
    second.on_notification(SECOND, 1.0)
    second.on_notification(SECOND, 1.005)
    assert (first.hot, first.looks) == (Heat.ONCE, [])
    assert (second.hot, second.looks) == (Heat.COLD, [1.0 + SECOND.delay])
    second.look_if_due(1.0 + SECOND.delay)
    assert (second.hot, second.looks) == (Heat.ONCE, [])


def test_jobs_that_come_apart_are_no_stream() -> None:
    state = quiet()
    crowd(state, 0.0, every=0.005)
    assert not state.streaming


@pytest.mark.parametrize("seat", [AWAY, Seat(5, 9, 15)])
def test_nobody_but_the_watch_looks_after_a_stream(seat: Seat) -> None:
    state = quiet()
    crowd(state, 0.0, seat=seat)
    assert not state.streaming


def test_a_stream_is_looked_at_and_then_left() -> None:
    state = streaming()
    now = 0.01
    while state.streaming:
        [now] = state.looks
        state.look_if_due(now)
        assert state.hot is Heat.ONCE
        found(state, 0, now)
    assert state.looks == []


def test_a_flag_that_is_up_in_spite_of_a_stream_goes_down_again() -> None:
    state = streaming()
    state.on_notification(FIRST, state.lowered_at + 0.001)
    assert state.flag is False, "it was on its way"
    state.on_notification(FIRST, state.lowered_at + 0.1)
    assert state.flag is None


def test_who_took_a_flag_down_hears_of_it_and_goes_on() -> None:
    state = streaming()
    assert (state.streaming, state.owns, state.own_lowerings) == (True, True, 0)


def test_who_hears_that_another_took_over_stands_by() -> None:
    state = streaming()
    state.on_lowered(5.0)
    assert (state.streaming, state.owns, state.looks) == (False, False, [5.5])


def test_a_late_commit_changes_nothing() -> None:
    """It notifies though the flag is down: to take it down again answers that it was."""
    state = streaming()
    state.on_notification(FIRST, 1.0)
    state.before_own_lowering(heard=True)
    state.on_own_lowering(None, 1.001)
    assert (state.streaming, state.owns, state.flag) == (True, True, False)


def test_who_is_second_to_take_a_flag_down_stands_by() -> None:
    state = quiet()
    crowd(state, 0.0)
    state.before_own_lowering(heard=True)
    state.on_own_lowering(None, 1.0)
    assert (state.streaming, state.flag, state.looks) == (False, False, [1.5])


def test_a_queue_of_several_kinds_keeps_its_flag() -> None:
    state = quiet()
    crowd(state, 0.0)
    state.before_own_lowering(heard=True)
    state.on_own_lowering(False, 1.0)
    crowd(state, 1.0)
    assert (state.streaming, state.flag) == (False, True)


def test_one_with_much_to_do_leaves_a_stream_to_others() -> None:
    state = streaming()
    state.found(1, full=False, seat=FIRST, began=0.02, now=0.02, light=False)
    assert not state.streaming


def test_a_flag_that_is_said_to_be_down_again_and_again_delays_nothing() -> None:
    state = quiet()
    for n in range(6):
        state.on_lowered(5.0 + 0.1 * n)
    assert state.looks[-1] == 5.5


def test_who_is_full_learns_that_somebody_else_took_the_flag_down() -> None:
    """Else it believes the flag up once it is short, and raises it no more."""
    state = full()
    state.on_lowered(0.1)
    found(state, 1, 0.15)
    assert state.flag is not True


def test_who_stands_by_and_streams_meanwhile_still_looks_when_its_time_has_come() -> None:
    state = quiet()
    state.on_lowered(0.0)
    crowd(state, 0.1)
    now = 0.1
    while state.streaming:
        [now] = state.looks
        state.look_if_due(now)
        found(state, 0, now)
    assert now < state.stand_by_until, "flags.up leaves it out"
    assert state.looks
    assert state.looks[-1] <= state.stand_by_until


def test_who_stands_by_looks_after_half_a_second_and_raises_no_flag_before() -> None:
    state = quiet()
    state.hot, state.looks = Heat.ONCE, [9.0, 5.1]
    state.on_lowered(5.0)
    assert (state.flag, state.looks, state.stand_by_until) == (False, [5.5], 5.5)


def test_more_than_there_is_room_for_is_claimed_at_once_and_others_are_called() -> None:
    state = streaming()
    found(state, 5, 1.0, full=True)
    assert (state.hot, state.streaming, state.full_since) == (Heat.HOT, True, 1.0)
    assert not state.calls(8, FIRST, 1.0), "it may be worked off at once"
    assert state.calling.put_off_to == 1.005
    assert state.calls(8, FIRST, 1.006) == 11
    assert not state.calls(8, FIRST, 1.5), "once a second"
    assert state.calls(8, FIRST, 2.5)
    assert not state.calls(8, AWAY, 9.0)
    assert not state.calls(8, Seat(0, 1, 15), 9.0)
    assert not state.calls(1, FIRST, 9.0), "it looked for one, and has it"
    assert state.calls(1, Seat(2, 9, 15), 9.0), "nobody of the watch is left"
    found(state, 4, 9.5)
    assert state.full_since is None
    assert not state.calls(4, FIRST, 99.0)
    found(state, 8, 9.6, full=True)
    assert not state.calls(8, FIRST, 9.6)
    assert state.calls(8, FIRST, 9.606), "that was another burst"


def test_many_jobs_that_are_worked_off_at_once_call_nobody() -> None:
    """A stream of short jobs may be more than there is room for, now and then."""
    state = streaming()
    for n in range(50):
        began = 1.0 + 0.016 * n
        found(state, 100, began, full=True)
        assert not state.calls(100, FIRST, began)
        found(state, 12, began + 0.003)
        assert state.calling.put_off_to == float("inf")
        assert (state.streaming, state.flag) == (True, False)


def test_a_stream_ends_when_jobs_stay() -> None:
    state = streaming()
    found(state, 100, 1.0, full=True, light=False)
    assert not state.streaming


def test_a_few_jobs_are_a_burst_only_if_the_queue_stays_full() -> None:
    state = quiet()
    found(state, 4, 1.0, full=True)
    assert not state.calls(4, FIRST, 1.0)
    assert state.calling.put_off_to == 1.005
    found(state, 0, 1.002)
    assert state.calling.put_off_to == float("inf"), "they were all there was"
    found(state, 4, 2.0, full=True)
    assert not state.calls(4, FIRST, 2.0)
    found(state, 4, 2.006, full=True)
    assert state.calls(4, FIRST, 2.006) == 11


def test_a_full_queue_is_so_no_more_once_others_have_had_it_for_a_second() -> None:
    """Whether it is still full is theirs to say."""
    state = quiet()
    found(state, 5, 1.0, full=True)
    state.met(busy=True, seat=AWAY, now=1.9)
    assert state.full_since == 1.0, "it waits for its turn"
    state.met(busy=True, seat=AWAY, now=2.1)
    assert state.full_since is None


def test_the_last_who_were_called_call_twice_as_many() -> None:
    state = quiet()
    state.on_call(11, Seat(11, 99, 103), 1.0, 0.0)
    assert state.looks == [], "it was not meant"
    for place, reach in ((5, 0), (10, 22)):
        state = quiet()
        state.on_call(11, Seat(place, 99, 103), 1.0, 0.0)
        assert state.looks == [1.0]
        found(state, 8, 1.01, full=True, seat=Seat(place, 99, 103))
        assert state.calls(8, Seat(place, 99, 103), 1.01) == reach


def test_a_busy_queue_is_left_to_whoever_is_there() -> None:
    away, watcher = quiet(), quiet()
    away.met(busy=True, seat=AWAY, now=10.0)
    assert away.looks == []
    gaps: list[float] = []
    now = 10.0
    for _ in range(5):
        watcher.met(busy=True, seat=FIRST, now=now)
        gaps.append(watcher.looks.pop() - now)
        now += 1.0
    assert 0.004 <= gaps[0] <= 0.008
    assert 0.125 <= gaps[-1] <= 0.25
    watcher.met(busy=False, seat=FIRST, now=now)
    assert watcher.contention.turn == 0.0, "it did not wait for its turn"


@pytest.mark.parametrize("called", [True, False])
def test_who_found_jobs_or_was_called_comes_back_soon(called: bool) -> None:
    state = quiet()
    if called:
        state.on_call(11, Seat(5, 9, 15), 10.0, 0.5)
        assert state.looks.pop() == pytest.approx(10.015)
    else:
        found(state, 1, 9.5)
    state.met(busy=True, seat=AWAY, now=10.0)
    assert 0.0005 <= state.looks.pop() - 10.0 <= 0.001
    state.met(busy=False, seat=AWAY, now=10.02)
    assert state.contention.turn == pytest.approx(0.02)


def test_who_leaves_the_watch_says_which_flag_it_took_down() -> None:
    assert streaming().leave()
    state = full()
    state.before_own_lowering(heard=True)
    state.on_own_lowering(True, 1.0)
    assert state.leave()
    assert not quiet().leave()
    by = quiet()
    by.on_lowered(1.0)
    assert not by.leave(), "it was somebody else"


_EVENTS = st.sampled_from(
    ["notification", "call", "lowered", "due", "none", "one", "some", "full", "busy", "leave"]
)
_SEATS = st.sampled_from([FIRST, SECOND, AWAY, Seat(5, 9, 15), Seat(0, 1, 15)])


@given(st.lists(st.tuples(_EVENTS, _SEATS, st.floats(0.0, 1.0)), max_size=60))
def test_every_event_in_every_state(events: list[tuple[str, Seat, float]]) -> None:
    """What must hold whatever happens: nothing due is forgotten, and no stream goes unlooked at."""
    state, now = QueueState("q"), 0.0
    for event, seat, gap in events:
        now += gap
        match event:
            case "notification":
                state.on_notification(seat, now)
                assert state.hot or state.looks or state.streaming or state.full_since is not None
            case "call":
                state.on_call(11, seat, now, gap)
                meant = seat.rank is None and seat.place is not None
                assert not meant or state.looks[-1] <= now + 0.03
            case "lowered":
                state.on_lowered(now)
            case "due":
                due = [look for look in state.looks if look <= now]
                state.look_if_due(now)
                assert not due or state.hot
            case "busy":
                state.hot = Heat.COLD
                state.met(busy=True, seat=seat, now=now)
                if seat.rank is not None:
                    assert state.looks[-1] <= now + 0.25
            case "leave":
                state.leave()
                assert not state.streaming
            case _:
                count = {"none": 0, "one": 1, "some": 3, "full": 5}[event]
                state.met(busy=False, seat=seat, now=now)
                found(state, count, now, full=event == "full", seat=seat)
                assert (state.hot is Heat.HOT) == (event == "full")
        assert state.looks == sorted(state.looks, reverse=True)
        if state.streaming and event not in ("due", "busy"):
            assert state.hot or state.looks
        assert not (state.streaming and state.full_since is not None)
