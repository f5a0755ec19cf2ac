"""Makes the tables of the shop and of pgqueue: ``python -m shop.install``."""

from __future__ import annotations

import asyncio

from shop.database import Base, engine
from shop.jobs import app

__all__ = ["make_tables"]


async def make_tables() -> None:
    """Make what is missing."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await app.amigrate(connection=connection)
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(make_tables())
