"""Which tests of those that were collected are run; a plugin of pytest."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

__all__ = ["PARTS", "wanted"]

PARTS = ("together", "alone")


def wanted(
    name: str,
    marks: Collection[str],
    *,
    part: str | None = None,
    long: bool = False,
    only: Collection[str] | None = None,
) -> bool:
    """Say whether a test with these marks is run; ``part`` None stands for both."""
    if only is not None:
        return name in only
    if "long" in marks and not long:
        return False
    return part is None or ("alone" in marks) == (part == "alone")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pgqueue")
    group.addoption("--long", action="store_true", help="also the tests that are marked as long")
    group.addoption("--suite-part", choices=PARTS, help="those marked as alone, or the others")
    group.addoption("--suite-only", metavar="FILE", help="the tests whose ids are in this file")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    file = config.getoption("suite_only")
    only = frozenset(Path(file).read_text().splitlines()) if file else None
    part, long = config.getoption("suite_part"), config.getoption("long")
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        keep = wanted(item.nodeid, marks, part=part, long=long, only=only)
        (kept if keep else dropped).append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept
