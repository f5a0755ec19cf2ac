"""One world from its beginning to its end."""

from __future__ import annotations

from tests.flows.drain import drain
from tests.flows.rates import excess
from tests.flows.steps import KEYS, run
from tests.flows.world import FLOWS, World

__all__ = ["played"]

ROUNDING = 1e-3  # of a token: times are rounded to microseconds


async def played(dsn: str, seed: int, steps: int, defect: tuple[str, str] | None = None) -> None:
    """Fails where the rules find something; ``defect``: what of the text of admit() is other."""
    world = World(dsn, seed)
    await world.open()
    if defect is not None:
        await world.look.spoil(*defect)
    try:
        await run(world, steps)
        await drain(world)
        for flow, settings in FLOWS.items():
            began = world.admissions[flow]
            if "rate" in settings:
                assert excess(began, settings["rate"], settings["burst"]) < ROUNDING
            if "key_rate" in settings:
                for key in KEYS:
                    assert (
                        excess(began, settings["key_rate"], settings["key_burst"], key) < ROUNDING
                    )
    finally:
        world.close()
