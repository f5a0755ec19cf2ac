"""Measures figures on a server made for it, and returns their rows."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.arenas.ground import BASE, newest
from chaos.figures.place import Bench
from chaos.figures.row import Row
from chaos.figures.schedule import FIGURES, Measured, measure_all
from chaos.figures.table import circumstances
from tests.harness.servers import own_server

__all__ = ["Result", "measure"]


@dataclass(frozen=True)
class Result:
    """``about``: the machine, the versions, the date, the seed."""

    rows: list[Row]
    about: dict[str, Any]

    @property
    def ok(self) -> bool:
        """Whether no target was missed; what was skipped says so in the table."""
        return all(row.ok is not False for row in self.rows)


def measure(
    names: Collection[str] = (),
    *,
    quick: bool = False,
    seed: int | None = None,
    told: Callable[[Measured], None] = lambda _: None,
) -> Result:
    """Measure these figures, all by default; ``told`` hears of each as it is there.

    ``seed``: of the moments at which faults strike; random by default.
    """
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    home = Path(tempfile.mkdtemp(prefix="pgqueue-figures-"))
    home.chmod(0o755)
    began = time.monotonic()
    try:
        with own_server(newest(), settings=BASE) as server:
            bench = Bench(server, home, quick=quick, seed=seed)
            measured = measure_all(bench, names or FIGURES, told=told)
            with server.connect() as connection:
                version = connection.info.parameter_status("server_version") or "?"
    finally:
        shutil.rmtree(home, ignore_errors=True)
    about = circumstances(
        postgres=version.split()[0], quick=quick, seed=seed, seconds=time.monotonic() - began
    )
    return Result([row for each in measured for row in each.rows], about)
