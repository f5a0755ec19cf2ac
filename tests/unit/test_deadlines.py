"""What takes too long in a thread loses its connection, and one thread sees to that."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pgqueue.db.waits import NotBegun
from pgqueue.worker.run.deadlines import Deadlines

LONG = 3600.0


@pytest.fixture
def deadlines() -> Iterator[Deadlines]:
    deadlines = Deadlines()
    yield deadlines
    deadlines.close()


@pytest.fixture
def pair() -> Iterator[tuple[Any, socket.socket]]:
    """A connection, and what the server has of it."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(60)  # against a hang
    with ours, theirs:
        yield SimpleNamespace(fileno=ours.fileno, close=ours.close), theirs


def test_the_socket_is_shut_down_when_the_time_is_over(deadlines: Deadlines, pair: Any) -> None:
    connection, theirs = pair
    for _ in range(2):  # it has slept meanwhile, or not
        with deadlines.at_most(0.0, connection):
            assert theirs.recv(1) == b""


def test_others_stay_open(deadlines: Deadlines, pair: Any) -> None:
    connection, theirs = pair
    left, right = socket.socketpair()
    with left, right:
        other: Any = SimpleNamespace(fileno=left.fileno)
        with deadlines.at_most(LONG, other), deadlines.at_most(0.0, connection):
            assert theirs.recv(1) == b""
        left.send(b"x")
        assert right.recv(1) == b"x"


def test_all_share_one_thread_and_it_ends(pair: Any) -> None:
    deadlines = Deadlines()
    before = threading.active_count()
    for _ in range(3):
        with deadlines.at_most(LONG, pair[0]), deadlines.at_most(LONG, pair[0]):
            assert threading.active_count() == before + 1
    deadlines.close()
    assert threading.active_count() == before


def test_without_a_thread_nothing_is_begun(
    deadlines: Deadlines, pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(NotBegun, match="no thread could be had"), deadlines.at_most(LONG, pair[0]):
        raise AssertionError("it was begun")
    assert pair[0].fileno() == -1
