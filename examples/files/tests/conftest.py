"""The tables, once; each test has a transaction that is rolled back (the fixture ``pgq``)."""

from __future__ import annotations

import pytest

from pipeline.install import make_tables


@pytest.fixture(scope="session", autouse=True)
def tables() -> None:
    make_tables()
