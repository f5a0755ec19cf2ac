"""Bad arguments, in a transaction of the caller's own: refused by name, and nothing is spoilt."""

from __future__ import annotations

import asyncio

import asyncpg

import pgqueue
from chaos.figures.place import Bench
from chaos.figures.row import Row
from tests.corpus.arguments import BAD
from tests.corpus.refusals import refuse_all

__all__ = ["arguments"]


def arguments(bench: Bench) -> list[Row]:
    """All in one transaction, which commits at the end."""
    with bench.place("arguments") as place:
        wrong = asyncio.run(_refuse(place.dsn))
        kept = place.rows("select count(*) from pgqueue.job")[0][0]
    figure = f"bad arguments ({len(BAD)}): taken, or refused without their path"
    return [
        Row(figure=figure, value=len(wrong), unit="values", target=0, note="; ".join(wrong[:3])),
        Row(
            figure="bad arguments: transactions that were not usable afterwards",
            value=int(kept != 1),
            unit="values",
            target=0,
        ),
    ]


async def _refuse(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            wrong = await refuse_all(BAD, connection)
            app = pgqueue.App("postgresql://nobody@127.0.0.1:1/none")
            await app.aenqueue("touch", connection=connection)
        return wrong
    finally:
        await connection.close()
