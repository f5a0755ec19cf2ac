"""The tables, once, and two ways to test: in a transaction that is rolled back, and for real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from httpx2 import ASGITransport, AsyncClient
from pgqueue.testing import Kit

from shop.api import api
from shop.database import Session, engine
from shop.install import make_tables
from shop.jobs import app


@pytest.fixture(scope="session", autouse=True)
def tables() -> None:
    asyncio.run(make_tables())


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def kit() -> AsyncIterator[Kit]:
    """Give all sessions and all enqueues of a test one connection, and roll it back."""
    async with engine.connect() as connection:
        await connection.begin()
        Session.configure(bind=connection, join_transaction_mode="create_savepoint")
        try:
            with Kit(app, connection).joined() as kit:
                yield kit
        finally:
            Session.configure(bind=engine, join_transaction_mode="conditional_savepoint")
            await connection.rollback()
    await engine.dispose()  # the next test has another event loop


@pytest.fixture
async def client(kit: Kit) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(transport=ASGITransport(api), base_url="http://shop") as client:
        yield client
