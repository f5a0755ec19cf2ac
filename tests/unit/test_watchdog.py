"""What is cut when a connection has been silent for too long, and what is left."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.harness.fakes import Said

from pgqueue.db.link import Link, Watch
from pgqueue.worker.events import FleetEvent, ServerSilent
from pgqueue.worker.fleet.watchdog import Watchdog
from pgqueue.worker.timings import TIMINGS

NEVER = float("inf")


class Scene:
    """Two watches with links that stand as they are made, at a moment that the test names."""

    def __init__(self) -> None:
        self.theirs, self.own = Watch(), Watch()
        self.told: list[Callable[[], object]] = []
        self.said = Said[FleetEvent]()
        self.running = 0
        self.dog = Watchdog(
            self.theirs, self.own, view=cast("Any", self), deadline=8.0,
            side=cast("Any", SimpleNamespace(tell=self.told.append)), events=self.said,
        )  # fmt: skip

    def link(self, watch: Watch, *, heard: float, asked: float = 0.0, due: float = NEVER) -> Link:
        link = Link("postgresql:///nowhere", role="x", watch=watch, deadline=8.0, pooled=False)
        link.heard_at, link.asked_at, link.due = heard, asked, due
        watch.add(link)
        return link

    def left(self, now: float) -> list[Link]:
        """Look at that moment; return the links that are still watched."""
        self.dog.cut_silent(now)
        return [link for watch in (self.theirs, self.own) for link in watch.unheard_since(NEVER)]

    def ask(self, now: float) -> None:
        self.dog.ask(now)

    def answer(self) -> None:
        """The worker's loop runs what it was told."""
        while self.told:
            self.told.pop(0)()

    @property
    def at_rest(self) -> bool:
        return self.dog.at_rest


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize(
    ("deadline", "at_rest", "seconds"),
    [(8.0, False, 0.5), (8.0, True, 2.0), (60.0, True, 2.0), (4.0, True, 1.0), (0.1, True, 0.5)],
)
def test_a_worker_at_rest_looks_less_often(deadline: float, at_rest: bool, seconds: float) -> None:
    assert TIMINGS.watch.tick_after(deadline, at_rest=at_rest) == seconds


def test_at_rest_is_who_has_no_job_and_waits_for_nobody(scene: Scene) -> None:
    asks = scene.link(scene.theirs, heard=0.0)
    assert scene.at_rest
    scene.running = 1
    assert not scene.at_rest
    scene.running = 0
    asks.due = 8.0
    assert not scene.at_rest
    asks.due = NEVER
    scene.ask(0.0)
    assert scene.at_rest, "its loop has not had the time to answer"
    scene.ask(2.0)
    assert not scene.at_rest, "its loop is blocked"


def test_a_loop_is_blocked_from_when_it_was_asked(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Not from when it last answered: one at rest is seldom asked."""
    with caplog.at_level(logging.WARNING, "pgqueue.worker"):
        scene.ask(0.0)
        scene.answer()
        for now in (2.0, 2.5, 2.9):
            scene.ask(now)
        assert not caplog.messages
        assert len(scene.told) == 1, "one question is enough"
        asks = scene.link(scene.theirs, heard=0.0, due=10.0)
        for now in (3.0, 3.5, 4.0):
            scene.ask(now)
        assert asks.due == 11.5, "nobody is there to read the answer"
        assert ["blocked for 1.0 s" in message for message in caplog.messages] == [True]
        scene.answer()
        scene.ask(4.5)
    assert "runs again after 2.5 s" in caplog.messages[1]
    assert len(caplog.messages) == 2


def test_a_process_that_stood_still_was_not_blocked(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    asks = scene.link(scene.own, heard=1.0, due=9.0)
    with caplog.at_level(logging.WARNING, "pgqueue.worker"):
        scene.ask(1.0)
        scene.dog.stood_still(30.0)
        scene.ask(31.5)
    assert caplog.messages == ["this process stood still for 30.0 s"]
    assert (asks.heard_at, asks.due) == (31.0, 39.0)


def test_an_answer_in_the_moment_of_a_stand_still_is_not_lost(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both threads go on at once: where it was, the loop would be taken for blocked for ever."""

    class Seconds(float):
        def __radd__(self, other: float) -> float:
            scene.answer()  # between a read and the write that follows from it
            return other + float(self)

    scene.ask(1.0)
    scene.dog.stood_still(Seconds(30.0))
    scene.ask(32.0)
    assert len(scene.told) == 1, "it is asked again"


def test_nothing_overdue_nothing_cut(scene: Scene) -> None:
    one = scene.link(scene.own, heard=0.0, asked=5.0, due=14.0)
    other = scene.link(scene.theirs, heard=0.0)
    assert set(scene.left(13.9)) == {one, other}
    assert scene.said == []


def test_what_is_overdue_gives_away_what_has_heard_nothing_for_half_as_long(scene: Scene) -> None:
    """They may have heard something after the question that is overdue: 4.9 of 0 to 10."""
    scene.link(scene.own, heard=0.0, asked=0.0, due=9.0)
    scene.link(scene.theirs, heard=4.9)
    well = scene.link(scene.theirs, heard=5.1)
    assert scene.left(10.0) == [well]
    assert scene.said == [ServerSilent()]


def test_so_does_it_give_away_what_was_asked_just_now(scene: Scene) -> None:
    scene.link(scene.own, heard=0.0, asked=0.0, due=9.0)
    scene.link(scene.theirs, heard=1.0, asked=9.9, due=18.9)
    assert scene.left(10.0) == []


def test_a_connection_that_nobody_answered_is_a_question_once(scene: Scene) -> None:
    scene.own.note_unanswered(2.0)
    scene.link(scene.theirs, heard=5.9)
    well = scene.link(scene.theirs, heard=6.1)
    assert scene.left(10.0) == [well]
    assert scene.left(20.0) == [well]
    assert scene.said == [ServerSilent()]


def test_time_in_which_nobody_read_does_not_count(scene: Scene) -> None:
    idle = scene.link(scene.theirs, heard=4.0)
    asks = scene.link(scene.theirs, heard=4.0, asked=4.0, due=13.0)
    scene.own.note_unanswered(0.0)
    scene.theirs.extend(5.0)
    assert (idle.due, asks.due) == (NEVER, 18.0)
    assert set(scene.left(14.0)) == {idle, asks}
