"""A queue for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.service import Queue


@pytest.fixture
def queue(dsn: str, tmp_path: Path) -> Iterator[Queue]:
    with Queue(dsn, tmp_path) as queue:
        yield queue
