"""What a worker does about others at a queue: when it comes back, and whom it calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgqueue.worker.claim.calling import Calling
from pgqueue.worker.claim.contention import Contention
from pgqueue.worker.seat import Seat

NEVER = float("inf")


@pytest.mark.parametrize(
    ("wanted", "on_watch", "first", "last"),
    [
        (True, True, 0.001, 0.25),
        (True, False, 0.001, 0.25),
        (False, True, 0.008, 0.25),
        (False, False, None, None),
    ],
)
def test_when_it_comes_back(
    wanted: bool, on_watch: bool, first: float | None, last: float | None
) -> None:
    one = Contention()
    looks = [one.busy(9.0, wanted=wanted, on_watch=on_watch) for _ in range(12)]
    if first is None or last is None:
        assert looks == [None] * 12
        return
    waits = [look - 9.0 for look in looks if look is not None]
    assert first / 2 <= waits[0] <= first
    assert last / 2 <= waits[-1] <= last


def test_who_has_found_jobs_comes_back_for_a_second() -> None:
    one = Contention()
    one.found(5.0)
    assert one.busy(5.9, wanted=False, on_watch=False) is not None
    assert one.busy(6.1, wanted=False, on_watch=False) is None


def test_only_who_came_back_for_it_had_to_wait_for_its_turn() -> None:
    for wanted, turn in ((True, 0.5), (False, 0.0)):
        one = Contention()
        one.busy(5.0, wanted=wanted, on_watch=True)
        one.free(5.5)
        assert one.turn == turn
        one.free(6.0)
        assert one.turn == 0.0


def test_the_same_holder_for_two_seconds_is_passed_by_until_it_is_free() -> None:
    one = Contention()
    assert not one.asks_who(9.0)
    one.busy(10.0, wanted=True, on_watch=True)
    assert not one.asks_who(11.9)
    assert one.asks_who(12.0)
    one.held_by("7", 12.0)
    assert not one.stuck
    assert not one.asks_who(13.9)
    assert one.asks_who(14.0)
    one.held_by("8", 14.0)
    assert not one.stuck, "that is another one"
    one.held_by("8", 16.0)
    assert one.stuck
    one.free(16.1)
    assert not one.stuck
    one.busy(17.0, wanted=True, on_watch=True)
    one.held_by(None, 19.0)
    one.held_by(None, 21.0)
    assert not one.stuck, "nobody is there"


@given(st.lists(st.tuples(st.sampled_from(["free", "busy", "watch", "found"]), st.floats(0, 3))))
def test_it_comes_back_within_a_quarter_of_a_second_whatever_happened(
    events: list[tuple[str, float]],
) -> None:
    one, now = Contention(), 0.0
    for event, gap in events:
        now += gap
        match event:
            case "free":
                one.free(now)
                assert not one.stuck
                assert not one.asks_who(now + 9.0)
            case "found":
                one.found(now)
            case _:
                look = one.busy(now, wanted=False, on_watch=event == "watch")
                assert look is not None or event == "busy"
                assert look is None or now < look <= now + 0.25
                assert one.asks_who(now + 9.0)
        assert one.turn >= 0.0


@pytest.mark.parametrize(
    ("seat", "count", "at_once", "later"),
    [
        (Seat(0, 1, 15), 50, 0, 0),  # nobody is there to be called
        (Seat(0, 9, 15), 50, 0, 11),  # maybe short ones
        (Seat(0, 9, 15), 8, 0, 11),
        (Seat(0, 9, 15), 7, 0, 11),  # maybe single jobs
        (Seat(0, 9, 15), 2, 0, 11),
        (Seat(0, 9, 15), 1, 0, 0),  # it looked for one job
        (Seat(1, 9, 15), 1, 0, 0),
        (Seat(2, 9, 15), 1, 0, 11),  # nobody of the watch is left
        (Seat(5, 9, 15), 50, 0, 0),  # it was not called
        (Seat(5, 9, 15), 1, 0, 0),
        (Seat(None, 9, 15), 50, 0, 0),
    ],
)
def test_who_calls_how_many_and_when(seat: Seat, count: int, at_once: int, later: int) -> None:
    one = Calling()
    assert one.due(count, seat, 1.0, 1.001) == at_once
    assert one.put_off_to == (1.005 if later else NEVER)
    assert one.due(count, seat, 1.0, 1.006) == later, "it has been full all the time"
    assert one.put_off_to == NEVER
    assert one.due(count, seat, 1.0, 1.9) == 0, "once a second, while it is full"
    assert one.due(count, seat, 1.0, 2.1) == at_once + later


def test_a_call_that_was_put_off_is_made_unless_there_is_room_before() -> None:
    seat = Seat(2, 9, 15)
    one = Calling()
    assert one.due(1, seat, 1.0, 1.001) == 0
    assert one.call(seat, one.put_off_to) == 11
    assert one.put_off_to == NEVER
    other = Calling()
    assert other.due(1, seat, 1.0, 1.001) == 0
    other.end()
    assert other.put_off_to == NEVER


def test_single_jobs_that_come_closely_are_called_for_ten_times_a_second_at_most() -> None:
    """Each claim of one slot is full, and each second one comes back short."""
    seat, one, called = Seat(2, 9, 15), Calling(), 0
    for n in range(100):
        since = 1.0 + n / 100
        assert one.due(1, seat, since, since + 0.001) == 0
        if one.put_off_to < since + 0.009:
            called += bool(one.call(seat, one.put_off_to))
        one.end()
    assert called == 10


def test_a_burst_is_called_for_however_soon_it_comes_after_another() -> None:
    seat, one = Seat(0, 9, 15), Calling()
    for since in (1.0, 1.01):
        assert one.due(8, seat, since, since + 0.001) == 0
        assert one.due(8, seat, since, since + 0.006) == 11
        one.end()
    assert one.due(4, seat, 1.02, 1.021) == 0
    assert one.put_off_to == pytest.approx(1.116), "a few may be single ones"


@pytest.mark.parametrize(("place", "reach"), [(8, 0), (9, 22), (10, 22)])
def test_the_last_two_of_those_who_were_called_call_for_a_moment(place: int, reach: int) -> None:
    seat = Seat(place, 99, 103)
    one = Calling()
    assert one.heard(11, seat, 1.0, 1.0) == 1.03
    assert one.is_wanted(1.05)
    assert not one.is_wanted(1.1)
    assert one.due(1, seat, 1.04, 1.046) == reach
    assert one.due(9, seat, 3.0, 3.0) == 0


def test_a_call_that_reaches_all_who_hear_goes_no_further() -> None:
    seat = Seat(102, 400, 103)
    one = Calling()
    one.heard(176, seat, 1.0, 0.0)
    assert one.due(9, seat, 1.0, 1.01) == 0
    assert one.put_off_to == NEVER


def test_a_call_is_not_for_places_behind_it() -> None:
    for seat in (Seat(11, 99, 103), Seat(None, 99, 103)):
        one = Calling()
        assert one.heard(11, seat, 1.0, 0.5) is None
        assert not one.is_wanted(1.0)
