"""What a job in line is told to wait for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pgqueue.admin.in_line import BEFORE_BOUND, Line, line_reasons

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def said(**facts: Any) -> list[str]:
    values: dict[str, Any] = {"flow": "crm", "key": "acme", **facts}
    return line_reasons(Line(**values))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, ["in line of crm / acme: place 1"]),
        ({"key": ""}, ["in line of crm: place 1"]),
        ({"before": BEFORE_BOUND}, ["in line of crm / acme: behind place 1000"]),
        (
            {"before": 16, "of_key": 2, "settings": {"key_concurrency": 2}},
            ["in line of crm / acme: place 17, 2 of 2 running"],
        ),
        (
            {"of_key": 2, "own_concurrency": 3, "settings": {"key_concurrency": 2}},
            ["in line of crm / acme: place 1, 2 of 3 running"],
        ),
        (
            {"admitted": 20, "settings": {"concurrency": 20}},
            ["in line of crm / acme: place 1, 20 of 20 running"],
        ),
        (
            {"admitted": 20, "of_key": 1, "settings": {"concurrency": 20, "key_concurrency": 2}},
            ["in line of crm / acme: place 1, 1 of 2 running", "flow crm: 20 of 20 running"],
        ),
        (
            {"known": False, "admitted": 1},
            [
                "in line of crm / acme: place 1, 1 of 1 running",
                'no code declares flow "crm": it runs one job at a time',
            ],
        ),
        (
            {"settings": {"ordered": True}, "before": 1, "first_id": 7, "first_due_in": 12.2},
            [
                "in line of crm / acme: place 2, 0 of 1 running",
                "job 7 goes first: its next attempt is due in 12 s",
            ],
        ),
        (
            {"paused_at": NOON, "held": 3.2},
            [
                "in line of crm / acme: place 1",
                'flow "crm" was paused at 2026-11-30 12:00:00+00:00',
                'flow "crm" is held for 3 s more, as one of its jobs asked',
            ],
        ),
        (
            {"key_paused_at": NOON, "reason": "job 7 is dead", "key_held": 60, "held": -5},
            [
                "in line of crm / acme: place 1",
                'key "acme" of flow "crm" was paused at 2026-11-30 12:00:00+00:00: job 7 is dead',
                'key "acme" of flow "crm" is held for 60 s more, as one of its jobs asked',
            ],
        ),
        (
            {"settings": {"rate": 0.5, "key_rate": 1 / 60}, "tat": 1.5, "key_tat": 42.0},
            [
                "in line of crm / acme: place 1",
                "rate of crm: next token in 1.5 s",
                "rate of crm / acme: next token in 42 s",
            ],
        ),
        (
            {"settings": {"rate": 1.0, "burst": 5}, "weight": 5, "tat": 2.0},
            ["in line of crm / acme: place 1", "rate of crm: 5 tokens in 2.0 s"],
        ),
        ({"settings": {"rate": 1.0, "burst": 5}, "tat": 2.0}, ["in line of crm / acme: place 1"]),
        ({"settings": {"rate": 1.0}, "tat": float("-inf")}, ["in line of crm / acme: place 1"]),
    ],
)
def test_a_job_in_line_says_what_it_waits_for(facts: dict[str, Any], expected: list[str]) -> None:
    assert said(**facts) == expected
