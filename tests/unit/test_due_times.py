"""When to promote, and when to look for what nobody told of: in simulated time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgqueue.config import WorkerSettings
from pgqueue.worker.claim.due_times import DueTimes, Step

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTINGS = WorkerSettings(heartbeat=10.0, lease=60.0)
TICK = 0.005


def at_rest(now: float = 0.0, *, told: bool = True) -> DueTimes:
    """One that has promoted and looked, and found nothing."""
    times = DueTimes(SETTINGS)
    times.start(now)
    if told:
        times.on_flags(up=True, raised=False, now=now)
    for moment in (now, now, now + 0.02, now + 1.0, now + 1.0, now + 1.02, now + 2.1):
        match times.step(moment):
            case Step.PROMOTE:
                times.promoted(found=False, now=moment)
            case Step.LOOK:
                look(times, moment)
            case None:
                pass
    return times


def look(times: DueTimes, now: float, seconds: float | None = None) -> None:
    times.look_from(now)
    times.looked(seconds, NOON, now)


def test_it_begins_with_a_promotion() -> None:
    times = DueTimes(SETTINGS)
    times.start(5.0)
    assert times.step(5.0 + TICK) is Step.PROMOTE


def test_told_it_rests_until_the_floor_is_to_be_forgotten() -> None:
    times = at_rest()
    assert (times.step(3.0), times.look_at, len(times)) == (None, math.inf, 0)
    assert times.rest(3.0) == times.floor.rests(3.0) < 30.0


def test_untold_it_looks_every_second() -> None:
    times = at_rest(told=False)
    looks: list[int] = []
    for hundredths in range(300, 800):
        if times.step(hundredths / 100) is Step.LOOK:
            look(times, hundredths / 100)
            looks.append(hundredths)
    assert len(looks) == 5
    assert {later - sooner for sooner, later in pairwise(looks)} <= {100, 101}


@pytest.mark.parametrize(
    ("given", "look_every"),
    [
        ({"heartbeat": 10.0, "lease": 60.0}, 1.0),
        ({"heartbeat": 1.0, "lease": 60.0}, math.inf),
        ({"heartbeat": 10.0, "lease": 60.0, "listen": False, "poll_interval": 3.0}, 3.0),
        ({"heartbeat": 2.0, "lease": 60.0, "listen": False, "poll_interval": 3.0}, math.inf),
    ],
)
def test_a_heartbeat_that_comes_as_often_does_as_well(given: dict, look_every: float) -> None:
    assert DueTimes(WorkerSettings(**given)).look_every == look_every


def test_the_first_of_those_that_are_due_wakes() -> None:
    times = at_rest()
    assert times.due_in(2.0, 3.0)
    assert not times.due_in(2.0, 3.0)
    assert not times.due_in(4.0, 3.0)
    assert times.due_in(1.0, 3.0)
    assert len(times) == 3
    assert times.rest(3.0) == pytest.approx(1.0, abs=TICK)
    assert times.step(3.9) is None
    assert times.step(4.0 + TICK) is Step.PROMOTE
    assert len(times) == 2


def test_those_that_are_due_by_now_take_one_promotion() -> None:
    times = at_rest()
    for seconds in (0.1, 0.2, 0.3, 9.0):
        times.due_in(seconds, 3.0)
    assert times.step(3.5) is Step.PROMOTE
    assert len(times) == 1


def test_what_lies_in_the_past_is_due_now_and_room_is_bounded() -> None:
    times = at_rest()
    times.due_in(-5.0, 3.0)
    assert times.rest(3.0) <= TICK
    for number in range(20_000):
        times.due_in(number * 0.01, 3.0)
    assert len(times) == 10_000


def test_a_raised_flag_means_a_look_now_and_one_a_second_later() -> None:
    times = at_rest()
    assert times.on_flags(up=True, raised=True, now=3.0)
    assert times.step(3.0) is Step.LOOK
    look(times, 3.0)
    assert times.step(3.9) is None
    assert times.step(4.0) is Step.LOOK
    look(times, 4.0)
    assert times.look_at == math.inf


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("raised", [True, False])
def test_what_is_news_of_flags(told: bool, up: bool, raised: bool) -> None:
    times = at_rest(told=told)
    before = times.look_at
    news = times.on_flags(up=up, raised=raised, now=2.2)
    assert news is (up is not told or (up and raised))
    assert times.notified is up
    if news:
        assert times.look_at == (2.2 if up else 3.2)
    else:
        assert times.look_at == before


def test_after_a_promotion_it_looks_soon() -> None:
    times = at_rest()
    times.due_in(0.0, 3.0)
    assert times.step(3.01) is Step.PROMOTE
    times.promoted(found=True, now=3.02)
    assert times.rest(3.02) == pytest.approx(0.02)
    assert times.step(3.05) is Step.LOOK


def test_a_row_that_somebody_holds_is_tried_once_a_second() -> None:
    times = at_rest()
    times.due_in(0.0, 3.0)
    now, tries = 3.0, 0
    while now < 8.0:
        match times.step(now):
            case Step.PROMOTE:
                tries += 1
                times.promoted(found=False, now=now)
            case Step.LOOK:
                look(times, now, -1.0)
            case None:
                pass
        now += TICK
    assert 5 <= tries <= 6
    assert times.none_promoted


def test_looks_do_not_keep_a_due_job_waiting_nor_the_other_way_round() -> None:
    times = at_rest(told=False)
    times.look_every = 0.0
    times.on_flags(up=True, raised=True, now=3.0)
    times.on_flags(up=False, raised=False, now=3.0)
    steps: list[Step | None] = []
    for turn in range(6):
        now = 4.0 + turn
        times.due_in(0.0, now - 1.0)
        steps.append(times.step(now))
        if steps[-1] is Step.LOOK:
            look(times, now)
        else:
            times.promoted(found=True, now=now - 1.0)
    assert steps == [Step.PROMOTE, Step.LOOK] * 3


def test_who_could_not_ask_tries_both_again() -> None:
    times = at_rest()
    times.failed(0.5, 3.0)
    assert times.rest(3.0) == pytest.approx(0.5, abs=TICK)
    assert {times.step(3.51), times.step(3.51)} == {Step.LOOK, Step.PROMOTE}


@dataclass
class Table:
    """Jobs by due time, and when each was promoted; ``seen`` from its commit on."""

    rows: list[tuple[float, float]]
    late: list[float] = field(default_factory=list)

    def seen(self, now: float) -> Iterable[tuple[float, float]]:
        return [row for row in self.rows if row[1] <= now]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0.0, 60.0), st.floats(0.0, 20.0), st.booleans()), max_size=30),
    st.booleans(),
)
def test_no_job_waits_longer_than_a_look(
    jobs: list[tuple[float, float, bool]], flags_up: bool
) -> None:
    """Enqueued at a time, with a delay, told or not. With the flags up, all are told of."""
    times = at_rest(told=flags_up)
    told = sorted((at + 3.0, delay) for at, delay, said in jobs if flags_up or said)
    table = Table([(at + 3.0 + delay, at + 3.0) for at, delay, _ in jobs])
    now = 3.0
    while table.rows and now < 100.0:
        while told and told[0][0] <= now:
            at, delay = told.pop(0)
            times.due_in(at + delay - now, now)
        match times.step(now):
            case Step.PROMOTE:
                done = [row for row in table.seen(now) if row[0] <= now]
                table.late += [now - row[0] for row in done]
                table.rows = [row for row in table.rows if row not in done]
                times.promoted(found=bool(done), now=now)
            case Step.LOOK:
                times.look_from(now)
                soonest = min((row[0] for row in table.seen(now)), default=None)
                clear = NOON + timedelta(seconds=now if soonest is None else min(soonest, now))
                times.looked(None if soonest is None else soonest - now, clear, now)
            case None:
                rest = times.rest(now)
                assert rest > 0
                now += min(rest, told[0][0] - now if told else rest) + 1e-6
                continue
        now += 0.0005
    assert not table.rows
    assert max(table.late, default=0.0) < (0.05 if flags_up else 1.1)
