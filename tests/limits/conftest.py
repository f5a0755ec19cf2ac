"""An app on a database of its own, and eyes on that database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pgqueue import App
from tests.worker.support import Eyes, eyes_on


@pytest.fixture
async def app(dsn: str) -> AsyncIterator[App]:
    app = App(dsn)
    yield app
    await app.aclose()


@pytest.fixture
async def eyes(dsn: str) -> AsyncIterator[Eyes]:
    async with eyes_on(dsn) as eyes:
        yield eyes
