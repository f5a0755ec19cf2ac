"""The engine, the sessions and the tables; ``python -m shop.database`` makes the tables."""

from __future__ import annotations

import asyncio
from datetime import datetime

from sqlalchemy import BigInteger, DateTime, make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shop.settings import DATABASE_URL

__all__ = ["Base", "Order", "Session", "engine"]

engine = create_async_engine(make_url(DATABASE_URL).set(drivername="postgresql+asyncpg"))
Session = async_sessionmaker(engine, class_=AsyncSession)


class Base(DeclarativeBase):
    """What all tables share."""


class Order(Base):
    """``receipt_job``: the job that sends the receipt."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    cents: Mapped[int]
    receipt_job: Mapped[int | None] = mapped_column(BigInteger)
    receipt_sent_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


async def make_tables() -> None:
    """Make the tables of the shop and of pgqueue, where they are missing."""
    from shop.jobs import app

    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await app.amigrate(connection=connection)
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(make_tables())
