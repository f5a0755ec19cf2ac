"""The slots of cron expressions, over the days on which clocks jump."""

from __future__ import annotations

import calendar
import itertools
import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from pgqueue.errors import ConfigError
from pgqueue.schedule.grammar import check_cron
from pgqueue.schedule.walls import Walls, walls_of
from pgqueue.schedule.when import Cron, Every, newest, slots_after
from tests.schedule.reference import ODD_DAYS, Days, every_days, field, random_expression

SECOND = timedelta(seconds=1)

# Zone, expression, the slots in UTC from the moment before the first.
TABLE = [
    ("Europe/Berlin", "30 2 * * *", "2027-03-28 01:00", "2027-03-29 00:30", "2027-03-30 00:30"),
    ("Europe/Berlin", "30 2 * * *", "2027-10-31 00:30", "2027-11-01 01:30", "2027-11-02 01:30"),
    ("Europe/Berlin", "0,30 2 * * *", "2027-03-28 01:00", "2027-03-29 00:00"),
    (
        "Europe/Berlin", "*/30 * * * *",
        "2027-03-28 00:30", "2027-03-28 01:00", "2027-03-28 01:30", "2027-03-28 02:00",
    ),
    (
        "Europe/Berlin", "*/30 * * * *",
        "2027-10-31 00:30", "2027-10-31 01:00", "2027-10-31 01:30", "2027-10-31 02:00",
        "2027-10-31 02:30",
    ),
    ("Europe/Berlin", "30 */2 * * *", "2027-03-27 23:30", "2027-03-28 02:30", "2027-03-28 04:30"),
    ("America/New_York", "30 1 * * *", "2027-11-07 05:30", "2027-11-08 06:30"),
    ("America/New_York", "0 2 * * 0", "2027-03-14 07:00", "2027-03-21 06:00"),
    ("Europe/London", "30 1 * * *", "2027-03-28 01:00", "2027-03-29 00:30"),
    ("Australia/Lord_Howe", "15 2 * * *", "2027-10-02 15:30", "2027-10-03 15:15"),
    (
        "Australia/Lord_Howe", "45 1 * * *",
        "2027-04-03 14:45", "2027-04-04 15:15", "2027-04-05 15:15",
    ),
    (
        "Australia/Lord_Howe", "*/20 * * * *",
        "2027-04-03 14:40", "2027-04-03 15:10", "2027-04-03 15:30", "2027-04-03 15:50",
    ),
    ("Africa/Casablanca", "30 2 * * *", "2027-02-07 01:30", "2027-02-08 02:30"),
    ("Africa/Casablanca", "30 2 * * *", "2027-03-14 02:00", "2027-03-15 01:30"),
    ("America/Santiago", "0 0 * * *", "2027-09-05 04:00", "2027-09-06 03:00"),
    ("America/Havana", "* 1 * * 0", "2027-03-14 05:00", "2027-03-14 05:01"),
    ("Africa/Cairo", "0 0 * * *", "2027-04-29 22:00", "2027-04-30 21:00"),
    ("Pacific/Apia", "0 12 * * *", "2011-12-29 22:00", "2011-12-30 10:00", "2011-12-30 22:00"),
    ("Antarctica/Troll", "30 1 * * *", "2027-03-28 01:00", "2027-03-28 23:30"),
    ("UTC", "30 2 29 2 *", "2028-02-29 02:30", "2032-02-29 02:30"),
]  # fmt: skip


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.past_bug(86)
@pytest.mark.parametrize(
    ("zone", "cron", "slots"), [(zone, cron, slots) for zone, cron, *slots in TABLE]
)
def test_a_clock_that_jumps_neither_loses_nor_doubles_a_slot(
    zone: str, cron: str, slots: list[str]
) -> None:
    want = [utc(slot) for slot in slots]
    assert slots_after(Cron(check_cron(cron), zone), want[0] - SECOND, len(want)) == want


@pytest.mark.past_bug("N21")
def test_an_hour_of_minutes_is_whole_where_midnight_is_skipped() -> None:
    """Sixty runs in Havana on 14 March 2027, where a library alone finds none."""
    found = slots_after(Cron("* 1 * * 0", "America/Havana"), utc("2027-03-14 00:00"), 61)
    assert found[:60] == [utc("2027-03-14 05:00") + n * timedelta(minutes=1) for n in range(60)]
    assert found[60] == utc("2027-03-21 05:00")


@pytest.mark.past_bug("N20")
@pytest.mark.parametrize("zone", ODD_DAYS)
def test_both_odd_days_of_each_zone_pass_without_a_loop_or_a_silence(zone: str) -> None:
    for year, month, day in ODD_DAYS[zone]:
        start = datetime(year, month, day, tzinfo=UTC) - timedelta(days=2)
        for cron in ("30 2 * * *", "0 0 * * *", "*/15 * * * *"):
            slots = slots_after(Cron(cron, zone), start, 5)
            assert slots == sorted(set(slots))
            longest = timedelta(hours=26) if cron[0] != "*" else timedelta(minutes=15)
            assert all(b - a <= longest for a, b in itertools.pairwise(slots))


def compare(days: Days, cron: str, rng: random.Random, most: int) -> None:
    want = days.slots(cron)
    after = days.start + rng.random() * (days.end - days.start)
    want = [slot for slot in want if slot > after][:most]
    got = slots_after(Cron(cron, days.zone), after, len(want))
    assert got == want, (days.zone, cron, after)


@pytest.mark.past_bug(86)
def test_random_expressions_agree_with_brute_force() -> None:
    rng = random.Random(86)
    for _ in range(150):
        cron = random_expression(rng)
        for days in every_days():
            compare(days, cron, rng, 12)


@pytest.mark.long
def test_ten_thousand_random_expressions_agree_with_brute_force_in_sixteen_zones() -> None:
    rng = random.Random(86)
    zones = every_days()
    assert len({days.zone for days in zones}) == 16
    for _ in range(10_000):
        cron = random_expression(rng)
        for days in zones:
            compare(days, cron, rng, 12)


def test_seconds_come_first_where_there_are_six_fields() -> None:
    found = slots_after(Cron("*/20 30 2 * * *", "Europe/Berlin"), utc("2027-03-27 12:00"), 4)
    # The clock skips all of that minute: what falls on one instant fires once.
    assert found == [
        utc("2027-03-28 01:00:00"), utc("2027-03-29 00:30:00"), utc("2027-03-29 00:30:20"),
        utc("2027-03-29 00:30:40"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cron", "slots"),
    [
        ("0 0 L * *", ["2027-01-31", "2027-02-28"]),
        ("0 0 LW * *", ["2027-01-29", "2027-02-26"]),
        ("0 0 * * MON#2", ["2027-01-11", "2027-02-08"]),
        ("0 0 * * 5L", ["2027-01-29", "2027-02-26"]),
        ("0 0 13 * FRI", ["2027-01-01", "2027-01-08"]),  # neither begins with *: one will do
        ("0 0 */12 * MON", ["2027-01-25", "2027-02-01"]),  # one begins with *: both
        ("0 0 * * 0", ["2027-01-03", "2027-01-10"]),
        ("0 0 * * 7", ["2027-01-03", "2027-01-10"]),
        ("0 0 1 1/6 *", ["2027-01-01", "2027-07-01"]),
        ("@monthly", ["2027-01-01", "2027-02-01"]),
        ("0 0 * feb mon#5", ["2044-02-29"]),
    ],
)
def test_days_are_named_in_all_ways(cron: str, slots: list[str]) -> None:
    when = Cron(check_cron(cron), "UTC")
    assert slots_after(when, utc("2026-12-31"), len(slots)) == [utc(slot) for slot in slots]


@pytest.mark.past_bug(88)
@pytest.mark.parametrize(
    ("cron", "reason"),
    [
        ("*/70 * * * *", 'minute "*/70" has a step that is not from 1 to 59'),
        ("*/0 * * * *", "step"),
        ("0 0 30 2 *", "no day is like that"),
        ("0 0 31 4,6 *", "no day is like that"),
        ("0 0 * * FRI-MON", "ends before it begins"),
        ("30-10 * * * *", "ends before it begins"),
        ("60 * * * *", "has 60, which is not from 0 to 59"),
        ("0 24 * * *", "hour"),
        ("0 0 0 * *", "day-of-month"),
        ("0 0 1 13 *", "month"),
        ("0 0 * * 8", "day-of-week"),
        ("@reboot", "@reboot"),
        ("@dayly", "@daily"),
        ("H 2 * * *", "has an H"),
        ("0 0 15W * *", "has a W"),
        ("0 0 ? * *", "write * instead"),
        ("0 0 * *", "has 4 fields"),
        ("0 0 * * * * *", "has 7 fields"),
        ("a b c d e", "minute"),
        ("1,,2 * * * *", "cannot be read"),
        ("٣ * * * *", "cannot be read"),
        ("0 0 * * MON#6", "cannot be read"),
        ("0 0 L/2 * *", "step after L"),
        ("0 1-1/3 * * *", "write 1 alone"),
        ("", "5 or 6 fields"),
        ("1," * 200 + "1 * * * *", "characters"),
        (5, "5 or 6 fields"),
        (None, "5 or 6 fields"),
    ],
)
def test_a_bad_expression_is_refused_with_the_reason(cron: object, reason: str) -> None:
    with pytest.raises(ConfigError, match=r"(?s).*") as refused:
        check_cron(cron)
    assert reason in str(refused.value)


def test_an_interval_counts_from_its_anchor_both_ways() -> None:
    hourly = Every(timedelta(hours=1))
    assert slots_after(hourly, utc("2027-03-28 00:59:59"), 2) == [
        utc("2027-03-28 01:00"), utc("2027-03-28 02:00"),
    ]  # fmt: skip
    odd = Every(timedelta(minutes=7), utc("2027-01-01 00:03"))
    assert odd.following(utc("2026-12-31 23:56")) == utc("2027-01-01 00:03")
    assert odd.following(utc("2026-12-31 23:55:59")) == utc("2026-12-31 23:56")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Havana", "Australia/Lord_Howe"])
def test_the_newest_slots_are_those_that_a_walk_finds(zone: str) -> None:
    rng = random.Random(7)
    start = datetime(*ODD_DAYS[zone][0], tzinfo=UTC) - timedelta(days=1)
    whens = [
        Cron("*/7 * * * *", zone), Cron("30 2 * * *", zone), Cron("0,30 1-3 * * *", zone),
        Every(timedelta(seconds=1)), Every(timedelta(seconds=1.5)), Every(timedelta(hours=5)),
    ]  # fmt: skip
    for when in whens:
        first = when.following(start)
        for _ in range(20):
            until = first + rng.random() ** 4 * timedelta(days=3)
            most = rng.randint(1, 5)
            walked = [first]
            if isinstance(when, Every) and when.span < timedelta(seconds=9):
                until = first + rng.random() * timedelta(seconds=90)  # a walk takes long
            while (following := when.following(walked[-1])) <= until:
                walked.append(following)
            assert newest(when, first, until, most) == walked[-most:]


def test_a_slot_is_found_in_microseconds_after_years_away() -> None:
    first = utc("2000-01-01")
    until = utc("2027-06-01 12:00:00")
    assert newest(Cron("* * * * * *", "Europe/Berlin"), first, until, 2) == [until - SECOND, until]


def test_a_zone_that_nobody_knows_is_refused_with_the_nearest() -> None:
    from pgqueue.schedule.zone import check_zone

    assert check_zone("Europe/Berlin") == "Europe/Berlin"
    with pytest.raises(ConfigError, match="Europe/Berlin"):
        check_zone("Europe/Berlim")
    for wrong in ("", "../etc/passwd", "/etc", 3, None, ZoneInfo("UTC")):
        with pytest.raises(ConfigError):
            check_zone(wrong)


ODD_FIELDS = {
    "day": ["L", "LW", "29", "30,31", "1-7", "*/9", "*"],
    "month": ["*", "2", "2,6", "*/5", "FEB-APR"],
    "weekday": ["*", "MON#5", "0#1", "7#2", "5L", "1,3", "*/3", "6-7"],
}


def test_the_wall_times_are_those_of_what_reads_the_expression() -> None:
    rng = random.Random(5)
    days = itertools.product(*ODD_FIELDS.values())
    walked = 0
    for n, fields in enumerate(days):
        clock = " ".join(rng.choice(("*", "0", "7-50/11", "3,20")) for _ in "sm")
        expression = f"{clock} {rng.choice(('*', '0,23', '5'))} {' '.join(fields)}"
        start = datetime(2024, 1, 1) + timedelta(seconds=rng.randrange(4 * 31_536_000))
        try:
            check_cron(expression)
        except ConfigError:
            continue  # that day never comes
        walked += 1
        theirs, wall = CronSim(expression, start), start
        for _ in range(6 if n % 7 else 40):
            wall = walls_of(expression).after(wall)
            assert wall == next(theirs), (expression, start)
    assert walked > 200


def last_of(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def names_day(term: str, day: date) -> bool:
    """Whether a term of the field for days names this one, looked at by itself."""
    last = last_of(day)
    if term == "L":
        return day.day == last
    if term == "LW":
        ends = (date(day.year, day.month, n) for n in range(last, 0, -1))
        return day == next(end for end in ends if end.weekday() < 5)
    return day.day in field(term, 1, 31)


def names_weekday(term: str, day: date) -> bool:
    number = (day.weekday() + 1) % 7
    if term.endswith("L"):
        return number == int(term[:-1]) % 7 and day.day + 7 > last_of(day)
    body, _, nth = term.replace("MON", "1").partition("#")
    named = {n % 7 for n in field(body, 0, 7)}
    return number in named and (not nth or (day.day - 1) // 7 + 1 == int(nth))


@pytest.mark.past_bug(88)
def test_the_days_of_ten_years_agree_with_brute_force() -> None:
    start = date(2024, 1, 1)
    years = [start + timedelta(days=n) for n in range(3653)]
    for days, months, weekdays in itertools.product(*ODD_FIELDS.values()):
        expression = f"0 0 {days} {months} {weekdays}"
        named = field(months.replace("FEB-APR", "2-4"), 1, 12)
        both = days.startswith("*") or weekdays.startswith("*")
        want = [
            day
            for day in years
            if day.month in named
            and (all if both else any)(
                (
                    any(names_day(term, day) for term in days.split(",")),
                    any(names_weekday(term, day) for term in weekdays.split(",")),
                )
            )
        ]
        try:
            when = Cron(check_cron(expression), "UTC")
        except ConfigError:
            assert not want, expression
            continue
        found = slots_after(when, utc("2023-12-31 12:00"), len(want) + 1)
        assert [slot.date() for slot in found[:-1]] == want, expression
        assert found[-1].date() > years[-1]


def test_a_day_that_never_comes_is_not_looked_for_without_end() -> None:
    with pytest.raises(LookupError, match="50 years"):
        Walls((2,), (0,), (0,), (0,), lambda day: day.day == 30).after(datetime(2027, 1, 1))
