"""What happens often is told of once in a while."""

from __future__ import annotations

from pgqueue.worker.seldom import Seldom


def test_at_once_and_then_once_a_minute_with_how_many_there_were() -> None:
    now = 1000.0
    seldom = Seldom(60.0, lambda: now)
    assert [seldom.count() for _ in range(4)] == [1, 0, 0, 0]
    now += 59.9
    assert seldom.count() == 0
    now += 0.1
    assert [seldom.count() for _ in range(2)] == [5, 0]
