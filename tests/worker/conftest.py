"""An app on a database of its own, and eyes on that database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pgqueue import App
from tests.worker.support import Eyes, eyes_on

_THROUGH = pytest.param("pgbouncer", marks=pytest.mark.one_turn)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A module whose ROUTES names pgbouncer is run through one as well."""
    if "route" in metafunc.fixturenames:
        routes = getattr(metafunc.module, "ROUTES", ["direct"])
        metafunc.parametrize("route", [_THROUGH if r == "pgbouncer" else r for r in routes])


@pytest.fixture
def app_dsn(route: str, request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("bouncer_dsn" if route == "pgbouncer" else "dsn")


@pytest.fixture
async def app(route: str, app_dsn: str) -> AsyncIterator[App]:
    app = App(app_dsn, pgbouncer=route == "pgbouncer")
    yield app
    await app.aclose()


@pytest.fixture
async def eyes(dsn: str) -> AsyncIterator[Eyes]:
    async with eyes_on(dsn) as eyes:
        yield eyes
