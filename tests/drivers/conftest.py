"""The fixture of the second session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drivers.observer import Observer


@pytest.fixture
def observer(dsn: str) -> Iterator[Observer]:
    observer = Observer(dsn)
    yield observer
    observer.connection.close()
