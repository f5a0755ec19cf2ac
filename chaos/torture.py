"""One run from its start to its verdict, in a database of its own."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from chaos.arena import Fault
from chaos.arenas.ground import BASE, Ground
from chaos.checker import Verdict, check
from chaos.conduct import Conductor
from chaos.faults import ALL
from chaos.held_rows import HoldRows
from chaos.plan import Step
from chaos.setup import Setup

__all__ = ["CATALOGUE", "SERVER_SETTINGS", "torture"]

CATALOGUE = {**ALL, HoldRows.name: HoldRows}
# A crash of the server, unlike one of the machine, loses nothing that was committed.
SERVER_SETTINGS = BASE


def torture(
    ground: Ground,
    setup: Setup,
    plan: Sequence[Step],
    home: Path,
    *,
    quiet: bool = False,
    catalogue: Mapping[str, Callable[[], Fault]] = CATALOGUE,
) -> Verdict:
    """Run a plan in a database of its own, and check it. Not within a running event loop."""
    server = ground.server
    database = server.create()
    dsn = server.dsn_for(database)
    try:
        every = {**catalogue, **ground.faults}
        conductor = Conductor(setup, ground=ground, dsn=dsn, home=home, catalogue=every)
        asyncio.run(conductor.run(plan))
        print("checking", flush=True)
        began = time.monotonic()
        verdict = asyncio.run(check(dsn, home, quiet=quiet))
        print(f"checked in {time.monotonic() - began:.1f} s", flush=True)
        (home / "setup.json").write_text(json.dumps(dataclasses.asdict(setup), default=str))
        return verdict
    finally:
        server.drop(database)
