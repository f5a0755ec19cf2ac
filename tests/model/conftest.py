"""An arena for all schedules of a module; a place for the state machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.harness.servers import Server
from tests.model.arena import Arena, opened
from tests.model.place import Place


@pytest.fixture(scope="module")
def arena(pg: Server) -> Iterator[Arena]:
    with opened(pg) as arena:
        yield arena


@pytest.fixture
def place(dsn: str) -> Iterator[Place]:
    place = Place(dsn)
    yield place
    place.close()
