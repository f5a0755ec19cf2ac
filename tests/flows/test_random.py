"""Flows under random operations: the invariants of admission hold, and everything runs once."""

from __future__ import annotations

import pytest
from tests.flows.drain import drain
from tests.flows.rates import excess
from tests.flows.steps import KEYS, run
from tests.flows.world import FLOWS, World

STEPS = 150


@pytest.mark.parametrize("seed", range(6))
async def test_flows_hold_what_they_promise(dsn: str, seed: int) -> None:
    await played(dsn, seed)


@pytest.mark.long
@pytest.mark.one_pg
@pytest.mark.parametrize("seed", range(100, 160))
async def test_flows_hold_what_they_promise_at_length(dsn: str, seed: int) -> None:
    await played(dsn, seed, 400)


async def played(dsn: str, seed: int, steps: int = STEPS) -> None:
    world = World(dsn, seed)
    await world.open()
    try:
        await run(world, steps)
        await drain(world)
        for flow, settings in FLOWS.items():
            began = world.admissions[flow]
            if "rate" in settings:
                assert excess(began, settings["rate"], settings["burst"]) < 1e-6
            if "key_rate" in settings:
                for key in KEYS:
                    assert excess(began, settings["key_rate"], settings["key_burst"], key) < 1e-6
    finally:
        world.close()
