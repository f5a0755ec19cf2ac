"""Simulated time: an event loop that never waits, but sets its clock to when something is due."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from pgqueue.worker.claim import (
    claimer,
    cursor,
    flags,
    looks,
    plan,
    prefetch,
    seating,
    sender,
    unknown,
)

__all__ = ["simulated"]

T = TypeVar("T")
_READ_TIME = (claimer, flags, looks, prefetch, seating, sender, unknown)


class _Selector(selectors.SelectSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "nothing will ever happen"
        self.now += max(timeout, 0.0)
        return []


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = _Selector()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


def simulated(work: Coroutine[Any, Any, T], monkeypatch: pytest.MonkeyPatch) -> T:
    """Run ``work`` in simulated time, which begins at 0; all that reads a clock reads this one."""
    loop = _Loop()
    random.seed(1)  # jitter, which claimers draw from everybody's generator
    for module in _READ_TIME:
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=loop.time))
    assert not hasattr(cursor, "time")
    assert not hasattr(plan, "time")
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()
