"""A look steps past what it walks over in vain, if all of that was looked at to its end."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pgqueue.config import WorkerSettings
from pgqueue.worker.claim.looks import Looks
from pgqueue.worker.claim.plan import Answer, Plan, Request

NEWEST, ROOM, LONG = 90, 5, 1.0


@pytest.mark.parametrize(
    ("answer", "room", "head"),
    [
        (Answer(Counter(), ROOM, ()), ROOM, NEWEST),
        (Answer(Counter(), ROOM, (), sent=False), ROOM, 0),
        (Answer(Counter(b=ROOM), ROOM, ()), ROOM, 0),  # full: nobody looked any further
        (Answer(Counter(), ROOM, ("a",)), ROOM, 0),
        (Answer(Counter(), ROOM, ()), 0, 0),
    ],
    ids=["in vain", "not sent", "full", "busy", "no room"],
)
async def test_it_steps_past_what_it_has_seen(answer: Answer, room: int, head: int) -> None:
    async def newest(queues: list[str]) -> dict[str, int]:
        return dict.fromkeys(queues, NEWEST)

    async def send(request: Request) -> Answer:
        return answer

    plan = Plan(["a", "b"])
    looks = Looks(
        cast("Any", SimpleNamespace(newest_positions=newest, turn=asyncio.Lock())),
        plan=plan,
        intake=cast("Any", SimpleNamespace(room=lambda now: room, thread_room=lambda: None)),
        flags=cast("Any", None),
        seating=cast("Any", None),
        sender=cast("Any", SimpleNamespace(send=send)),
        unknown=cast("Any", None),
        settings=WorkerSettings(),
        events=cast("Any", None),
    )
    await looks.step_over([plan.states["a"]], LONG)
    assert plan.cursors.now(["a"]) == [head] * 10
