"""Connections with which these tests do by hand what producers and workers do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.db.hands import Hands, connect

Connect = Callable[..., Awaitable[Hands]]


@pytest.fixture
async def more_hands(dsn: str) -> AsyncIterator[Connect]:
    """Opens further connections; see ``tests.db.hands.connect``."""
    opened: list[Hands] = []

    async def another(schema: str = "pgqueue", *, worker: bool = True) -> Hands:
        opened.append(await connect(dsn, schema, worker=worker))
        return opened[-1]

    yield another
    for hands in opened:
        hands.connection.terminate()


@pytest.fixture
async def hands(more_hands: Connect) -> Hands:
    """A worker's connection, with the queue ``default`` to serve."""
    hands = await more_hands()
    await hands.serve("default")
    return hands


@pytest.fixture
async def producer(more_hands: Connect) -> Hands:
    """A connection as a user's program has it."""
    return await more_hands(worker=False)
