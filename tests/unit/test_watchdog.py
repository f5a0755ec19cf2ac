"""What is cut when a connection has been silent for too long, and what is left."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pgqueue.db.link import Link, Watch
from pgqueue.worker.watchdog import Watchdog

NEVER = float("inf")


class Scene:
    """Two watches with links that stand as they are made, at a moment that the test names."""

    def __init__(self) -> None:
        self.theirs, self.own = Watch(), Watch()
        self.told: list[Callable[[], object]] = []
        self.dog = Watchdog(
            self.theirs, self.own, tell=self.told.append, on_silent=lambda: None,
            on_rest=lambda: None,
        )  # fmt: skip

    def link(self, watch: Watch, *, heard: float, asked: float = 0.0, due: float = NEVER) -> Link:
        link = Link("postgresql:///nowhere", role="x", watch=watch, deadline=8.0, pooled=False)
        link.heard_at, link.asked_at, link.due = heard, asked, due
        watch.add(link)
        return link

    def left(self, now: float) -> list[Link]:
        """Look at that moment; return the links that are still watched."""
        self.dog._cut_silent(now)  # pyright: ignore[reportPrivateUsage]
        return [link for watch in (self.theirs, self.own) for link in watch.unheard_since(NEVER)]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_nothing_overdue_nothing_cut(scene: Scene) -> None:
    one = scene.link(scene.own, heard=0.0, asked=5.0, due=14.0)
    other = scene.link(scene.theirs, heard=0.0)
    assert set(scene.left(13.9)) == {one, other}
    assert scene.told == []


def test_what_is_overdue_gives_away_what_has_heard_nothing_for_half_as_long(scene: Scene) -> None:
    """They may have heard something after the question that is overdue: 4.9 of 0 to 10."""
    scene.link(scene.own, heard=0.0, asked=0.0, due=9.0)
    scene.link(scene.theirs, heard=4.9)
    well = scene.link(scene.theirs, heard=5.1)
    assert scene.left(10.0) == [well]
    assert len(scene.told) == 1


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
    assert len(scene.told) == 1


def test_time_in_which_nobody_read_does_not_count(scene: Scene) -> None:
    idle = scene.link(scene.theirs, heard=4.0)
    asks = scene.link(scene.theirs, heard=4.0, asked=4.0, due=13.0)
    scene.own.note_unanswered(0.0)
    scene.theirs.extend(5.0)
    assert (idle.due, asks.due) == (NEVER, 18.0)
    assert set(scene.left(14.0)) == {idle, asks}
