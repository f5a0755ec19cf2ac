"""Flows under random operations: the invariants of admission hold, and everything runs once."""

from __future__ import annotations

import pytest
from tests.flows.play import played

STEPS = 150


@pytest.mark.parametrize("seed", range(6))
async def test_flows_hold_what_they_promise(dsn: str, seed: int) -> None:
    await played(dsn, seed, STEPS)


@pytest.mark.long
@pytest.mark.one_pg
@pytest.mark.parametrize("seed", range(100, 160))
async def test_flows_hold_what_they_promise_at_length(dsn: str, seed: int) -> None:
    await played(dsn, seed, 400)
