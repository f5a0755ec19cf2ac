"""The order in which claimed jobs run, whatever the order in which the database tells of them."""

from __future__ import annotations

import random
from typing import Any

from pgqueue.db.claim_order import put_in_order


def jobs(*places: tuple[str, int, int]) -> list[Any]:
    return [{"queue": q, "priority": p, "position": at} for q, p, at in places]


def test_by_queue_as_asked_for_then_by_priority_then_by_position() -> None:
    wanted = jobs(
        *(("b", 0, 9), ("b", 5, 1), ("b", 5, 2)),
        *(("c", 5, 4), ("a", 1, 8), ("a", 1, 10), ("a", 9, 3)),
    )
    for seed in range(20):
        told = random.Random(seed).sample(wanted, len(wanted))
        put_in_order(told, ["b", "c", "a", "empty"])
        assert told == wanted


def test_of_one_queue_and_of_few() -> None:
    told = jobs(("a", 5, 3), ("a", 5, 2), ("a", 4, 7))
    put_in_order(told, ["a"])
    assert told == jobs(("a", 4, 7), ("a", 5, 2), ("a", 5, 3))
    for few in ([], jobs(("a", 5, 3))):
        put_in_order(few, ["a"])
