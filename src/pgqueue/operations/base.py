"""What the operations need of the client that they are mixed into."""

from __future__ import annotations

from pgqueue.db.pool import Pool

__all__ = ["Base"]


class Base:
    """A client: its connections and its schema."""

    pool: Pool
    schema: str
