"""Plays cells of the matrix, several at a time: they mostly wait."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from chaos.matrix.cases import Case
from chaos.matrix.report import Row
from chaos.matrix.scene import play, prepare
from tests.harness.servers import Server

__all__ = ["matrix"]


def matrix(
    server: Server,
    cells: Sequence[Case],
    *,
    times: int = 1,
    seed: int = 1,
    at_once: int = 4,
    say: Callable[[str], None] = lambda _: None,
) -> list[Row]:
    """Play each cell so many times; return a row for each. Not within a running event loop."""
    template = server.template("kill matrix", prepare)
    return asyncio.run(_all(server, template, cells, times, seed, at_once, say))


async def _all(
    server: Server,
    template: str,
    cells: Sequence[Case],
    times: int,
    seed: int,
    at_once: int,
    say: Callable[[str], None],
) -> list[Row]:
    rows = {cell: Row(cell.point, cell.action) for cell in cells}
    limit = asyncio.Semaphore(at_once)
    making = asyncio.Lock()  # a template cannot be copied twice at a time

    async def one(cell: Case, turn: int) -> None:
        async with limit:
            async with making:
                bare = cell.plan.scene == "migrator"
                database = await asyncio.to_thread(server.create, *(() if bare else (template,)))
            try:
                with tempfile.TemporaryDirectory(prefix="pgqueue-matrix-") as home:
                    dsn = server.dsn_for(database)
                    played = await play(cell, dsn, Path(home), f"{seed}-{turn}-{cell}")
            finally:
                await asyncio.to_thread(server.drop, database)
        row = rows[cell]
        row.runs += 1
        row.hits += played.hit
        row.duplicated += played.duplicated
        row.worst = max(row.worst, played.recovery)
        row.violations += played.violations
        say(f"{cell}: {'; '.join(played.violations) or 'well'} ({played.recovery:.1f} s)"[:200])

    await asyncio.gather(*(one(cell, turn) for turn in range(times) for cell in cells))
    return list(rows.values())
