"""The checker finds each wrong fire of a schedule, and none where all is well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from chaos.findings import Findings
from chaos.slots import ScheduleVersion, Slot, judge_schedules, period_of
from chaos.windows import Windows
from chaos.world import World

pytestmark = pytest.mark.invariant("I13")

CRON = {"when": {"cron": "*/5 * * * * *"}, "misfire": "all"}
EVERY = {"when": {"every": 5}}


class Audit:
    """Versions of one schedule from the second 100 on, each by a transaction of its own."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.versions = [ScheduleVersion("s", 99.0, 1, "i", 100.0, None, False, settings)]
        self.slots: list[Slot] = []

    def change(self, at: float, **changes: Any) -> Audit:
        last = self.versions[-1]
        self.versions.append(replace(last, at=at, xid=last.xid + 1, op="u", **changes))
        return self

    def fire(self, at: float, *slots: float, next_at: float) -> Audit:
        self.change(at, fired_at=at, next_at=next_at)
        return self.with_jobs(*slots)

    def with_jobs(self, *slots: float) -> Audit:
        xid, first = self.versions[-1].xid, len(self.slots) + 1
        self.slots += [Slot(xid, first + n, "s", slot) for n, slot in enumerate(slots)]
        return self

    def said(self, *faults: tuple[float, float]) -> list[str]:
        findings = Findings()
        world = World(faults=Windows(faults))
        judge_schedules(self.versions, self.slots, 0.0, world, findings)
        return findings.samples.get("I13", [])


def late(misfire: str, *slots: float) -> Audit:
    """A fire at 121.5 of what was due since 100, away for a fault."""
    settings = {**CRON, "misfire": misfire, "grace": 8.0, "misfire_most": 3}
    return Audit(settings).fire(121.5, *slots, next_at=125.0)


GOOD = {
    "two fires": Audit(CRON).fire(100.1, 100.0, next_at=105.0).fire(105.1, 105.0, next_at=110.0),
    "an interval": Audit(EVERY).fire(100.1, 100.0, next_at=105.0),
    "the last": late("last", 120.0),
    "of too many the newest": late("all", 110.0, 115.0, 120.0),
    "those that are not late": late("skip", 115.0, 120.0),
    "a pause": Audit(CRON).change(99.5, paused=True).change(150.0, paused=False, next_at=155.0),
    "other times": Audit(CRON).change(99.5, settings={"when": {"every": 7}}, next_at=105.0),
    "priority": Audit(CRON).change(99.5, settings={**CRON, "priority": 1}),
    "a job asked for": Audit(CRON).change(99.5),
}
GOOD["a job asked for"].slots.append(Slot(9, 9, "s", None))


@pytest.mark.parametrize("name", GOOD)
def test_nothing_is_said_of_what_is_well(name: str) -> None:
    assert GOOD[name].said((99.0, 122.0)) == []


BAD = {
    "two jobs": (Audit(CRON).fire(100.1, 100.0, 100.0, next_at=105.0), "2 jobs were made"),
    "none": (Audit(CRON).fire(100.1, next_at=105.0), "0 got jobs, not 1"),
    "another": (Audit(CRON).fire(100.1, 105.0, next_at=105.0), "was not due"),
    "early": (Audit(CRON).fire(99.9, 100.0, next_at=105.0), "before 100"),
    "too far on": (Audit(CRON).fire(100.1, 100.0, 105.0, next_at=110.0), "waits for 110"),
    "off the grid": (Audit(CRON).fire(100.1, 100.0, next_at=104.0), "waits for 104"),
    "the oldest in place of the last": (late("last", 100.0), "1 got jobs"),
    "all in place of the newest": (
        late("all", 100.0, 105.0, 110.0, 115.0, 120.0), "5 got jobs, not 3",
    ),
    "one that is late": (late("skip", 110.0, 115.0, 120.0), "3 got jobs, not 2"),
    "one missing that is not late": (late("skip", 120.0), "1 got jobs, not 2"),
    "passed over": (Audit(CRON).change(99.5, next_at=105.0), "100 was passed over"),
    "a fire in a pause": (
        Audit(CRON).change(99.5, paused=True).fire(100.1, 100.0, next_at=105.0), "paused",
    ),
    "a job without a fire": (Audit(CRON).change(99.5).with_jobs(100.0), "nobody fired"),
    "again in another fire": (
        Audit(CRON).fire(100.1, 100.0, next_at=105.0).fire(105.1, 100.0, 105.0, next_at=110.0),
        "2 jobs were made",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_each_wrong_fire_is_found(name: str) -> None:
    audit, said = BAD[name]
    assert any(said in text for text in audit.said((99.0, 122.0))), audit.said((99.0, 122.0))


def test_only_a_fault_excuses_a_slot_that_waits() -> None:
    audit = late("last", 120.0)
    assert any("waited for 21.5 s" in text for text in audit.said())
    assert audit.said((110.0, 111.0)) == []


@pytest.mark.parametrize(
    ("when", "seconds"),
    [({"cron": "* * * * * *"}, 1), ({"cron": "*/20 * * * * *"}, 20), ({"every": 3.0}, 3)],
)
def test_the_slots_of_the_campaign_are_multiples_of_seconds(
    when: dict[str, Any], seconds: int
) -> None:
    assert period_of({"when": when}) == seconds
