"""Which slots get a job at a fire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pgqueue.schedule.misfire import COUNTED, Misfire, Policy, round_of
from pgqueue.schedule.when import Cron, Every

MINUTES = Cron("* * * * *", "UTC")
AT = datetime(2027, 5, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def minutes(*numbers: int) -> tuple[datetime, ...]:
    return tuple(AT + n * MINUTE for n in numbers)


@pytest.mark.parametrize("misfire", ["last", "skip", "all"])
def test_a_slot_on_time_gets_its_job_whatever_the_policy(misfire: Misfire) -> None:
    now = AT + timedelta(milliseconds=3)
    found = round_of(MINUTES, Policy(misfire), AT, now)
    assert (found.slots, found.next_at, found.missed) == (minutes(0), AT + MINUTE, 0)


@pytest.mark.parametrize(
    ("misfire", "slots", "missed"),
    [("last", minutes(60), 60), ("skip", minutes(60), 60), ("all", minutes(*range(61)), 0)],
)
def test_an_hour_without_a_database_follows_the_policy_exactly(
    misfire: Misfire, slots: tuple[datetime, ...], missed: int
) -> None:
    now = AT + 60 * MINUTE + timedelta(seconds=20)
    found = round_of(MINUTES, Policy(misfire), AT, now)
    assert (found.slots, found.next_at, found.missed) == (slots, AT + 61 * MINUTE, missed)


def test_skip_makes_no_job_for_a_slot_that_is_late() -> None:
    daily = Cron("30 2 * * *", "Europe/Berlin")
    slot = datetime(2027, 5, 1, 0, 30, tzinfo=UTC)
    in_time = round_of(daily, Policy("skip"), slot, slot + timedelta(seconds=60))
    assert in_time.slots == (slot,)
    late = round_of(daily, Policy("skip"), slot, slot + timedelta(seconds=61))
    assert (late.slots, late.missed) == ((), 1)
    assert late.next_at == slot + timedelta(days=1)
    patient = Policy("skip", grace=timedelta(hours=2))
    assert round_of(daily, patient, slot, slot + timedelta(hours=1)).slots == (slot,)


@pytest.mark.past_bug("N19")
def test_all_keeps_the_newest_where_there_are_too_many_and_goes_on() -> None:
    """A schedule that stops for ever at its 101st missed slot is another program's bug."""
    now = AT + 101 * MINUTE
    found = round_of(MINUTES, Policy("all", most=100), AT, now)
    assert found.slots == minutes(*range(2, 102))
    assert (found.missed, found.next_at) == (2, AT + 102 * MINUTE)


def test_years_without_a_fire_take_no_longer_than_a_day() -> None:
    seconds = Every(timedelta(seconds=1))
    now = AT + timedelta(days=3000)
    found = round_of(seconds, Policy("all", most=10), AT, now)
    assert found.slots == tuple(now - timedelta(seconds=n) for n in range(9, -1, -1))
    assert found.missed == COUNTED


@pytest.mark.past_bug(79, 81)
@pytest.mark.parametrize("misfire", ["last", "skip", "all"])
@pytest.mark.parametrize("early", [timedelta(milliseconds=20), timedelta(seconds=90)])
def test_nothing_is_due_before_its_time(misfire: Misfire, early: timedelta) -> None:
    """Neither where a timer is early, nor where a clock went back after the last fire."""
    found = round_of(MINUTES, Policy(misfire), AT, AT - early)
    assert (found.slots, found.next_at, found.missed) == ((), AT, 0)


def test_a_slot_that_the_zone_has_moved_since_still_counts() -> None:
    """Governments change their clocks: what was waited for is not lost."""
    stored = datetime(2027, 5, 1, 1, 30, tzinfo=UTC)  # 02:30 in Berlin by older rules
    found = round_of(Cron("30 2 * * *", "Europe/Berlin"), Policy(), stored, stored)
    assert found.slots == (stored,)
