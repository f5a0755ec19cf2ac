"""The tables."""

from __future__ import annotations

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import BigInteger
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ["Base", "Note", "db"]


class Base(DeclarativeBase):
    """What all tables share."""


db = SQLAlchemy(model_class=Base)


class Note(Base):
    """``words`` is None until the job has counted them."""

    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    job: Mapped[int | None] = mapped_column(BigInteger)
    words: Mapped[int | None]
