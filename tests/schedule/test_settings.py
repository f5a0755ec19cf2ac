"""What a schedule may be told, and what its jobs are told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgqueue.errors import ConfigError
from pgqueue.schedule.settings import Spec, check_name, check_settings, read
from pgqueue.schedule.when import Cron, Every
from pgqueue.unique.modes import Debounce, Unique

SLOT = datetime(2027, 5, 1, 12, 0, tzinfo=UTC)


def stored(**given: Any) -> dict[str, Any]:
    """Settings as they come back from the database."""
    loaded: dict[str, Any] = json.loads(json.dumps({"task": "report", **check_settings(given)}))
    return loaded


def spec(**given: Any) -> Spec:
    return read("nightly", stored(**given))


def test_what_is_stored_reads_back() -> None:
    found = spec(cron="30  2 * * *", zone="Europe/Berlin", jitter=300, queue="mail")
    assert found.when == Cron("30 2 * * *", "Europe/Berlin")
    assert (found.jitter, found.options) == (timedelta(minutes=5), {"queue": "mail"})
    hourly = spec(every=timedelta(hours=1), anchor=SLOT)
    assert hourly.when == Every(timedelta(hours=1), SLOT)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "needs cron or every"),
        ({"cron": "@daily", "every": 5}, "not both"),
        ({"every": 0.5}, "every must be from 1"),
        ({"every": "hour"}, "every must be seconds"),
        ({"anchor": SLOT}, "give every"),
        ({"cron": "@daily", "anchor": SLOT}, "belongs to every"),
        ({"every": 60, "anchor": datetime(2027, 1, 1)}, "time zone"),
        ({"cron": "@daily", "zone": "Berlin"}, "no time zone"),
        ({"cron": "@daily", "misfire": "none"}, "misfire must be 'last' or 'skip' or 'all'"),
        ({"cron": "@daily", "overlap": True}, "overlap must be"),
        ({"cron": "@daily", "misfire_most": 0}, "misfire_most"),
        ({"cron": "@daily", "delay": 5}, "takes no delay"),
        ({"cron": "@daily", "run_at": SLOT}, "takes no run_at"),
        ({"cron": "@daily", "prioritty": 5}, "priority"),
        ({"cron": "@daily", "priority": 50}, "priority"),
        ({"cron": "@daily", "queue": ""}, "queue"),
        ({"cron": "@daily", "jitter": 60, "expires": 30}, "more than jitter"),
        ({"cron": "@daily", "expires": SLOT}, "must be seconds"),
        ({"cron": "@daily", "overlap": "skip", "unique_key": "k"}, "one of both"),
        ({"cron": "@daily", "overlap": "skip", "unique": Unique()}, "one of both"),
        ({"cron": "@daily", "unique_key": "k", "unique": Unique(["a"])}, "not both"),
        ({"cron": "@daily", "jitter": 5, "unique": Debounce(1)}, "leave out jitter"),
    ],
)
def test_what_makes_no_schedule_is_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        spec(**given)
    assert reason in str(refused.value)


def test_jitter_is_the_same_for_all_workers_and_differs_by_slot_and_name() -> None:
    one = spec(cron="@hourly", jitter=300)
    other = read("another", stored(cron="@hourly", jitter=300))
    dues = [one.due_at(SLOT + timedelta(hours=n)) for n in range(50)]
    assert dues == [one.due_at(SLOT + timedelta(hours=n)) for n in range(50)]
    spans = {due - SLOT - timedelta(hours=n) for n, due in enumerate(dues)}
    assert len(spans) > 40
    assert all(timedelta(0) <= span < timedelta(seconds=300) for span in spans)
    assert other.due_at(SLOT) != one.due_at(SLOT)
    assert spec(cron="@hourly").due_at(SLOT) == SLOT


def test_a_job_is_told_its_schedule_and_its_slot() -> None:
    options = spec(cron="@hourly", metadata={"team": "a"}, overlap="skip").options_for(SLOT)
    assert options == {
        "metadata": {"team": "a", "schedule": "nightly", "slot": "2027-05-01T12:00:00+00:00"},
        "unique_key": "cron:nightly",
        "unique": None,
    }
    late = spec(cron="@hourly", jitter=300, priority=2)
    assert late.options_for(SLOT)["run_at"] == late.due_at(SLOT)
    assert "run_at" not in late.options_for(None)
    assert late.options_for(None)["metadata"]["slot"] is None


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", None, 5])
def test_a_name_that_cannot_be_is_refused(name: object) -> None:
    with pytest.raises(ConfigError):
        check_name(name)
