"""A flag is believed up only if the database says that it is."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from tests.harness.fakes import Said

from pgqueue.worker.claim.flags import Flags
from pgqueue.worker.claim.queue_state import Heat, QueueState
from pgqueue.worker.events import FlagsTold


class Rows:
    """The rows of the queues; ``locked`` are passed over."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.locked = {"b"}
        self.waiting = {"c"}

    async def raise_flags(self, queues: list[str]) -> dict[str, bool]:
        changed = {queue for queue in queues if queue not in self.locked | self.waiting}
        self.waiting |= changed
        return {queue: queue in changed for queue in queues if queue in self.waiting}


@pytest.mark.parametrize("listen", [True, False])
async def test_a_flag_whose_row_is_locked_is_tried_again(listen: bool) -> None:
    rows, told = Rows(), Said[Any]()
    states = {name: QueueState(name) for name in "abc"}
    for state in states.values():
        state.hot = Heat.COLD
    flags = Flags(
        cast("Any", rows), states, listen=listen,
        events=told,
    )  # fmt: skip
    flags.on_watch = listen
    await flags.up(list(states.values()))
    if not listen:
        assert all(state.flag for state in states.values())
        assert told == [FlagsTold(up=False, raised=True)]
        return
    assert [state.flag for state in states.values()] == [True, None, True]
    assert [state.hot for state in states.values()] == [True, False, False]
    assert states["b"].looks  # then its flag is tried again
    rows.locked.clear()
    await flags.up(list(states.values()))
    assert all(state.flag for state in states.values())
    assert told == [FlagsTold(up=False, raised=True), FlagsTold(up=True, raised=True)]
