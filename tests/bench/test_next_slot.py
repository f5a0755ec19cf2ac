"""The measurement of slots: that it measures, not how long they take."""

from __future__ import annotations

import pytest
from benchmarks.next_slot import EXPRESSIONS, ZONES, measure

from pgqueue.schedule.grammar import check_cron


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_expression_is_walked(expression: str, zone: str) -> None:
    assert check_cron(expression) == expression
    assert measure(expression, zone, 3) > 0
