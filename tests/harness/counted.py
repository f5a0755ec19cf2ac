"""Which statements workers send: counted by the role that sends them, and by name."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import asyncpg
import pytest

from pgqueue.db.lent import Lender
from pgqueue.db.link import Link

__all__ = ["by_name", "by_role"]

_NAMED = re.compile(r"/\* (\w+) \*/")


def by_role(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return how many statements and transactions each role has sent from now on.

    A quick statement counts for the role whose connection it takes.
    """
    sent: Counter[str] = Counter()

    def count(owner: type[Link], name: str) -> None:
        real: Any = getattr(owner, name)

        async def counted(self: Link, *args: Any, **how: Any) -> Any:
            sent[self.role] += 1
            return await real(self, *args, **how)

        monkeypatch.setattr(owner, name, counted)

    count(Link, "fetch")
    count(Link, "transact")
    count(Lender, "brief")
    return sent


def by_name(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return how many times each statement of ours was sent from now on, by its file's name."""
    sent: Counter[str] = Counter()
    real: Any = asyncpg.Connection.fetch

    async def counted(self: Any, query: str, *args: Any, **how: Any) -> Any:
        if named := _NAMED.match(query):
            sent[named[1]] += 1
        return await real(self, query, *args, **how)

    monkeypatch.setattr(asyncpg.Connection, "fetch", counted)
    return sent
