"""Connections with which these tests do by hand what workers and programs do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.flows.life import Life, connect_life


@pytest.fixture
async def life(dsn: str) -> AsyncIterator[Life]:
    life = await connect_life(dsn)
    yield life
    life.connection.terminate()


@pytest.fixture
async def other(dsn: str) -> AsyncIterator[Life]:
    life = await connect_life(dsn)
    yield life
    life.connection.terminate()
