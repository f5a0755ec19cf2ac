"""Every wrong option is refused with what it is, its value, and what would do."""

from __future__ import annotations

import inspect
import json
import math
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import pgqueue
from pgqueue import hints
from pgqueue.cli.enqueue import enqueue
from pgqueue.errors import ConfigError, PayloadError
from pgqueue.job import CHECKS, NewJob, Options, check_options, envelope
from pgqueue.task import Task

MIGRATIONS = Path(pgqueue.__file__).parent / "db" / "migrations"
EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))
WHEN = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"queue": ""}, "queue must be a non-empty string, got ''"),
        ({"queue": None}, "queue must be a non-empty string, got None"),
        ({"queue": b"mail"}, "queue must be a non-empty string, got b'mail'"),
        ({"queue": "a\0b"}, r"queue 'a\\x00b' holds a character that PostgreSQL cannot store"),
        ({"queue": "\ud800"}, "holds a character that PostgreSQL cannot store"),
        ({"queue": "a\nb"}, r"queue 'a\\nb' has a control character"),
        ({"queue": "ä" * 51}, "queue has 102 bytes, the limit is 100: 'ää"),
        ({"priority": -1}, "priority must be from 0 to 9, got -1"),
        ({"priority": 10}, "priority must be from 0 to 9, got 10"),
        ({"priority": 1.0}, "priority must be a whole number from 0 to 9, got 1.0"),
        ({"priority": "1"}, "priority must be a whole number from 0 to 9, got '1'"),
        ({"priority": True}, "priority must be a whole number from 0 to 9, got True"),
        ({"max_attempts": 0}, "max_attempts must be from 1 to 1000000, got 0"),
        ({"max_attempts": 2**31}, "max_attempts must be from 1 to 1000000, got 2147483648"),
        ({"delay": -1}, "delay must be from 0 to 100 years, got -1"),
        ({"delay": math.nan}, "delay must be from 0"),
        ({"delay": math.inf}, "delay must be from 0"),
        ({"delay": 10**400}, "delay must be from 0"),
        ({"delay": timedelta.max}, "delay must be from 0"),
        ({"delay": "60"}, "delay must be seconds or a timedelta, got '60'"),
        ({"delay": "5 min"}, "got '5 min'; write 300$"),
        ({"delay": "1000d"}, "got '1000d'; write 86400000$"),
        ({"delay": "500ms"}, "got '500ms'$"),
        ({"delay": "2 months"}, "got '2 months'$"),
        ({"delay": True}, "delay must be seconds or a timedelta, got True"),
        ({"run_at": datetime(2026, 1, 1)}, r"has no time zone; use datetime.now\(timezone.utc\)"),
        ({"run_at": datetime.max.replace(tzinfo=WEST)}, "not within the years 1 to 9999 of UTC"),
        ({"run_at": datetime.min.replace(tzinfo=EAST)}, "not within the years 1 to 9999 of UTC"),
        ({"run_at": "2026-01-01"}, "run_at must be an aware datetime, got '2026-01-01'"),
        ({"run_at": 0}, "run_at must be an aware datetime, got 0"),
        ({"timeout": 0}, "timeout must be from 0.001 seconds to 100 years"),
        ({"timeout": math.nan}, "timeout must be from 0.001 seconds to 100 years"),
        ({"expires": 0}, "expires must be from 0.001 seconds to 100 years"),
        ({"expires": "1h"}, "expires must be seconds or a timedelta, got '1h'"),
        ({"expires": datetime(2026, 1, 1)}, "expires .* has no time zone"),
        ({"expires": 5, "delay": 5}, r"expires \(5 s\) must be more than delay \(5 s\)"),
        ({"expires": WHEN, "run_at": WHEN}, "expires .* must be later than run_at"),
        ({"unique_key": ""}, "unique_key must be a non-empty string, got ''"),
        ({"unique_key": 7}, "unique_key must be a non-empty string, got 7"),
        ({"unique_key": "x" * 501}, "unique_key has 501 bytes, the limit is 500"),
        ({"unique_key": "a\0"}, "holds a character that PostgreSQL cannot store"),
        ({"tags": "urgent"}, "tags must be a list of strings, got 'urgent'"),
        ({"tags": 5}, "tags must be a list of strings, got 5"),
        ({"tags": ["a", 5]}, "tag must be a non-empty string, got 5"),
        ({"tags": ["a"] * 101}, "tags must be at most 100"),
        ({"metadata": [1]}, r"metadata must be a mapping, got \[1\]"),
        ({"flow": ""}, "flow must be a non-empty string, got ''"),
        ({"flow": "a\nb"}, r"flow 'a\\nb' has a control character"),
        ({"flow": pgqueue.Flow("crm", concurrency=1)}, 'by a string here, got .*; write "crm"'),
        ({"flow_key": 7}, 'flow_key must be a non-empty string, got 7; write "7"'),
        ({"flow_key": "ä" * 101}, "flow_key has 202 bytes, the limit is 200"),
        ({"weight": 0}, "weight must be from 1 to 1000000, got 0"),
        ({"weight": 1.5}, "weight must be a whole number from 1 to 1000000, got 1.5"),
        ({"prority": 1}, 'unknown option "prority"; did you mean "priority"?'),
        ({"retries": 1}, 'unknown option "retries"'),
        ({"delay": 1, "run_at": WHEN}, "give delay or run_at, not both"),
    ],
)
def test_a_wrong_option_is_refused(option: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        check_options(option)
    assert len(str(caught.value)) < 500


def test_an_option_is_known_wherever_one_is_given() -> None:
    options = list(Options.__annotations__)
    by_hand = inspect.signature(Task.using).parameters.keys() - {"self", "connection", "wait"}
    sql = next(MIGRATIONS.glob("0006_*.sql")).read_text()
    (known,) = re.findall(r"known constant text\[\] := array\[(.*?)\]", sql, re.DOTALL)
    assert list(CHECKS) == options
    assert by_hand == set(options)
    assert {*hints.OPTIONS} == {*options, "connection", "wait"}
    of_command = {param.name for param in enqueue.params} - {"args", "task", "as_json"}
    assert of_command - {"schema", "dsn", "app"} == set(options)
    assert re.findall(r"'(\w+)'", known) == ["task", "args", *options]


@pytest.mark.parametrize("value", [{"a": math.nan}, {"a": object()}, {"a": "\0"}])
def test_metadata_that_cannot_be_stored_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(PayloadError):
        check_options({"metadata": value})


def test_right_options_as_they_stand_in_the_document() -> None:
    checked = check_options(
        {
            "queue": "mail",
            "priority": 0,
            "delay": timedelta(minutes=1),
            "max_attempts": 1,
            "timeout": 30,
            "unique_key": "k",
            "tags": ("a", "b"),
            "metadata": {"a": [1, None]},
        }
    )
    assert checked == {
        "queue": "mail",
        "priority": 0,
        "delay": 60.0,
        "max_attempts": 1,
        "timeout": 30.0,
        "unique_key": "k",
        "tags": ["a", "b"],
        "metadata": {"a": [1, None]},
    }
    assert check_options({"timeout": None, "unique_key": None}) == {
        "timeout": None,
        "unique_key": None,
    }
    ahead = WHEN.astimezone(timezone(timedelta(hours=5, minutes=30)))
    text = check_options({"run_at": ahead})["run_at"]
    assert datetime.fromisoformat(text) == WHEN


def test_a_later_moment_takes_the_place_of_the_other() -> None:
    job = NewJob("t", "{}", {"queue": "a", "delay": 5.0})
    later = job.using(run_at=WHEN)
    assert later.options == {"queue": "a", "run_at": WHEN.isoformat()}
    assert later.using(delay=1).options == {"queue": "a", "delay": 1.0}
    assert job.options == {"queue": "a", "delay": 5.0}


@pytest.mark.parametrize("options", [{}, {"queue": 'a"b', "tags": ["\u2028"]}])
def test_a_document_is_json(options: dict[str, Any]) -> None:
    before, after = envelope(NewJob('t"x', '{"n":1}', options))
    assert json.loads(f'{before}{{"n":1}}{after}') == {"task": 't"x', "args": {"n": 1}, **options}
