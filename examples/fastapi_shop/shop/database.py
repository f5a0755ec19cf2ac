"""The engine, the sessions and the tables."""

from __future__ import annotations

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
