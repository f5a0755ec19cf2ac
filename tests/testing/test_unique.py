"""Unique jobs in a test without a worker: the modes hold in the test's transaction."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgqueue import App, Debounce, Replace, Throttle, Unique
from pgqueue.testing import Kit, transaction

pytestmark = pytest.mark.one_pg


@pytest.fixture
def app(dsn: str) -> Iterator[App]:
    with App(dsn) as app:
        yield app


@pytest.fixture
def kit(app: App) -> Iterator[Kit]:
    with transaction(app) as kit:
        yield kit


def test_the_last_call_counts(app: App, kit: Kit) -> None:
    ran: list[int] = []

    @app.task
    def note(doc: int, version: int) -> None:
        ran.append(version)

    wait = note.using(unique=Debounce(60, by=["doc"]))
    assert [wait.enqueue(1, n).replaced for n in range(3)] == [False, True, True]
    kit.assert_enqueued(note, args={"version": 2}, delay=60, count=1)
    assert kit.drain() == {}
    now = note.using(unique=Replace("args", by=["doc"]))
    assert [now.enqueue(2, n).replaced for n in range(3)] == [False, True, True]
    assert kit.drain() == {"completed": 1}
    assert ran == [2]


def test_a_key_is_free_as_it_is_with_a_worker(app: App, kit: Kit) -> None:
    @app.task
    def note() -> None:
        again.append(started.enqueue().duplicate)

    again: list[bool] = []
    started = note.using(unique=Unique(until="started"), delay=60)
    often = note.using(unique=Throttle(60), unique_key="often")
    once = note.using(unique=Unique(for_=60), unique_key="once")
    assert [often.enqueue().duplicate, once.enqueue().duplicate] == [False, False]
    assert kit.drain() == {"completed": 2}
    assert again == [False, True]
    followers = [often.enqueue(), once.enqueue()]
    assert [one.duplicate for one in followers] == [False, True]
    assert [str(one.state) for one in followers] == ["scheduled", "completed"]
