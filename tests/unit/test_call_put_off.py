"""A call that was put off, once there has been no room for that long."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from pgqueue.config import WorkerSettings
from pgqueue.worker.claim.looks import Looks
from pgqueue.worker.claim.plan import Plan
from pgqueue.worker.seat import Seat


async def test_a_call_ends_the_stream_for_others_to_hear_of_jobs() -> None:
    called: list[str] = []
    raised: list[Any] = []

    async def call(word: str) -> None:
        called.append(word)

    async def up(states: list[Any]) -> None:
        raised.extend(states)

    plan = Plan(["a"])
    (state,) = plan.states.values()
    state.stream.begin(1, 0.0)
    state.calling.put_off_to = 0.0  # long ago
    looks = Looks(
        cast("Any", SimpleNamespace(call=call, turn=asyncio.Lock())),
        plan=plan,
        intake=cast("Any", None),
        flags=cast("Any", SimpleNamespace(up=up)),
        seating=cast("Any", SimpleNamespace(seat=Seat(0, 9, 15))),
        sender=cast("Any", None),
        unknown=cast("Any", None),
        settings=WorkerSettings(),
        events=cast("Any", None),
    )
    await looks.on_full(looks.full_after())
    assert called == ["m:11:a"]
    assert raised == [state]
    assert not state.streaming
