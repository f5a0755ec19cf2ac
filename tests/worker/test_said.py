"""What notifications and the claimer say reaches the part of a worker that it is for."""

from __future__ import annotations

from typing import Any

import pytest

from pgqueue import App
from pgqueue.db.store import Store
from pgqueue.errors import OutcomeUnknown
from pgqueue.worker.claim.claimer import Claimer
from pgqueue.worker.claim.promoter import Promoter
from pgqueue.worker.claim.seating import Seating
from pgqueue.worker.fleet.heartbeat_thread import HeartbeatThread
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, working

ROUTES = ["direct"]


def recorded(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> list[tuple[Any, ...]]:
    """The positional arguments of each call of a method, which does what it did."""
    calls: list[tuple[Any, ...]] = []
    original = getattr(owner, name)

    def note(self: object, *args: Any, **how: Any) -> Any:
        calls.append(args)
        return original(self, *args, **how)

    monkeypatch.setattr(owner, name, note)
    return calls


@pytest.mark.parametrize(
    ("payload", "owner", "name", "arguments"),
    [
        ("q:default", Claimer, "on_notification", ("default",)),
        ("m:9:default", Claimer, "on_call", ("default", 9)),
        ("d:default", Claimer, "on_lowered", ("default",)),
        ("r:5:default", Claimer, "on_rewind", ("default", 5)),
        ("s:1800", Promoter, "due_in", (1800.0,)),
        ("c", HeartbeatThread, "hurry", ()),
        ("l", HeartbeatThread, "hurry", ()),
        ("w", Seating, "on_left", ()),
    ],
)
async def test_a_notification(
    app: App,
    eyes: Eyes,
    monkeypatch: pytest.MonkeyPatch,
    payload: str,
    owner: type,
    name: str,
    arguments: tuple[Any, ...],
) -> None:
    @app.task
    async def noop() -> None: ...

    calls = recorded(monkeypatch, owner, name)
    async with working(app):

        async def heard() -> bool:  # it listens once it is on watch
            await eyes.sql("select pgqueue.notify($1)", payload)
            return arguments in calls

        await eventually(heard, timeout_s=60)


async def test_a_claim_whose_answer_was_lost(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.task
    async def noop() -> None: ...

    looks = recorded(monkeypatch, HeartbeatThread, "reconcile")
    original = Store.claim
    fails = True

    async def claim(self: Store, *args: Any, **how: Any) -> Any:
        nonlocal fails
        answer = await original(self, *args, **how)
        if fails:
            fails = False
            raise OutcomeUnknown("the answer was lost")
        return answer

    monkeypatch.setattr(Store, "claim", claim)
    async with working(app):
        await eventually(lambda: looks)
        await app.aenqueue(noop.name)
        await eyes.settled(completed=1)
