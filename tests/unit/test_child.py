"""Who asks a process of a supervisor to stop: a signal, the channel, or one amid the other."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from pgqueue.supervisor import child as child_module


class Asked(child_module.Child):
    """Counts what reaches its worker."""

    def __init__(self) -> None:
        nothing: Any = None
        super().__init__(nothing, {}, nothing)
        self.count = 0

    def _ask(self) -> None:
        self.count += 1


@pytest.fixture(autouse=True)
def no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread of its own, that would stay."""
    monkeypatch.setattr(child_module, "Guard", lambda: None)


def interrupted_at(step: int, body: Callable[[], None], by: Callable[[], None]) -> bool:
    """Run ``body``, and ``by`` before the line of that number, as a signal handler would.

    False if it has no such line.
    """
    method: Any = body
    code, lines, done = method.__code__, itertools.count(), False

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal done
        if frame.f_code is not code:
            return None
        if event == "line" and next(lines) == step and not done:
            done = True
            by()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        body()
    finally:
        sys.settrace(before)
    return done


def test_a_stop_is_asked_for_once_wherever_another_comes_in_between() -> None:
    for step in itertools.count():
        child = Asked()
        interrupted = interrupted_at(step, child.stop, child.stop)
        assert child.count == 1
        if not interrupted:
            break
    assert step >= 2


def test_a_force_asks_for_a_stop_and_for_more_once() -> None:
    for step in itertools.count():
        child = Asked()
        interrupted = interrupted_at(step, child.force, child.force)
        assert child.count == 2
        child.stop()
        child.force()
        assert child.count == 2
        if not interrupted:
            break
    assert step >= 2
