"""Special arenas, by name: each a run of its own, with faults that the base arena cannot have."""

from __future__ import annotations

from functools import partial

from chaos.arenas.bouncer import pgbouncer
from chaos.arenas.clocks import clocks
from chaos.arenas.disk import small_disk
from chaos.arenas.ground import Ground, Maker
from chaos.arenas.hostile import hostile
from chaos.arenas.standby import multi_host, standby

__all__ = ["ARENAS", "Ground"]

ARENAS: dict[str, Maker] = {
    "standby-sync": partial(standby, waits=True),
    "standby-async": partial(standby, waits=False),
    "multi-host": multi_host,
    "pgbouncer": pgbouncer,
    "hostile": hostile,
    "clocks": clocks,
    "small-disk": small_disk,
}
