"""Handlers that are held back, in forked processes and in calls within calls."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from pgqueue.db.interrupts import Deferred

pytestmark = pytest.mark.alone

RAN, SWALLOWED, LEFT_IN_PLACE = 7, 8, 9


def on_signal(_number: int, _frame: object) -> None:
    os._exit(RAN)


@pytest.fixture
def handler() -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, on_signal)
    try:
        yield
        assert signal.getsignal(signal.SIGUSR1) is on_signal
    finally:
        signal.signal(signal.SIGUSR1, before)


def signalled() -> int:
    """Fork a process that signals itself; return how it ended."""
    pid = os.fork()
    if pid == 0:
        if signal.getsignal(signal.SIGUSR1) is not on_signal:
            os._exit(LEFT_IN_PLACE)
        signal.raise_signal(signal.SIGUSR1)
        os._exit(SWALLOWED)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_what_another_thread_forks_has_its_own_handlers(handler: None) -> None:
    ended: list[int] = []
    with Deferred() as deferred:
        thread = threading.Thread(target=lambda: ended.append(signalled()))
        thread.start()
        thread.join()
        assert ended == [RAN]
        assert deferred.active
        assert signal.getsignal(signal.SIGUSR1) is not on_signal


def test_what_the_thread_of_the_call_forks_has_its_own_handlers(handler: None) -> None:
    with Deferred() as deferred:
        assert signalled() == RAN
        assert deferred.active


def test_a_call_within_a_call_leaves_handlers_held_back() -> None:
    """As when a finaliser closes a client while the call waits for a connection."""
    came: list[int] = []

    def note(number: int, _frame: object) -> None:
        came.append(number)

    before = signal.signal(signal.SIGUSR1, note)
    try:
        with Deferred() as outer:
            with Deferred() as inner:
                assert not inner.active
                signal.raise_signal(signal.SIGUSR1)
            signal.raise_signal(signal.SIGUSR1)
            assert came == []
            outer.deliver()
            assert len(came) == 2
            signal.raise_signal(signal.SIGUSR1)
            assert len(came) == 2
        assert len(came) == 3
        assert signal.getsignal(signal.SIGUSR1) is note
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_handler_that_makes_a_call_of_its_own_has_signals_held_back_there() -> None:
    active: list[bool] = []

    def call(_number: int, _frame: object) -> None:
        with Deferred() as inner:
            active.append(inner.active)

    before = signal.signal(signal.SIGUSR1, call)
    try:
        with Deferred() as outer:
            signal.raise_signal(signal.SIGUSR1)
            outer.deliver()
            assert active == [True]
            assert outer.active
    finally:
        signal.signal(signal.SIGUSR1, before)
