"""A Django project's database, and eyes on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.drivers.blocking_callers import django_database
from tests.worker.support import Eyes, eyes_on


@pytest.fixture
def django_dsn(dsn: str) -> Iterator[str]:
    """The dsn of a database that is Django's default as well."""
    with django_database(dsn, "default"):
        yield dsn


@pytest.fixture
async def eyes(dsn: str) -> AsyncIterator[Eyes]:
    async with eyes_on(dsn) as eyes:
        yield eyes


class Sessions:
    """How many sessions a database has, but for this one's."""

    def __init__(self, eyes: Eyes) -> None:
        self._eyes = eyes
        self.most: dict[str, int] = {"theirs": 0, "all": 0}

    async def look(self) -> Any:
        rows = await self._eyes.sql(
            "select count(*) filter (where application_name not like 'pgqueue%') as theirs, "
            'count(*) as "all" from pg_stat_activity where datname = current_database() '
            "and backend_type = 'client backend' and pid <> pg_backend_pid()"
        )
        for name in self.most:
            self.most[name] = max(self.most[name], rows[0][name])
        return rows[0]


@pytest.fixture
def sessions(eyes: Eyes) -> Sessions:
    return Sessions(eyes)
