"""A flag is believed up only if the database says that it is."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from pgqueue.worker.claim.events import FlagsTold
from pgqueue.worker.claim.flags import Flags
from pgqueue.worker.claim.lane import Heat, Lane


class Rows:
    """The rows of the queues; ``locked`` are passed over."""

    def __init__(self) -> None:
        self.locked = {"b"}
        self.waiting = {"c"}

    async def raise_flags(self, queues: list[str]) -> dict[str, bool]:
        changed = {queue for queue in queues if queue not in self.locked | self.waiting}
        self.waiting |= changed
        return {queue: queue in changed for queue in queues if queue in self.waiting}


@pytest.mark.parametrize("listen", [True, False])
async def test_a_flag_whose_row_is_locked_is_tried_again(listen: bool) -> None:
    rows, told = Rows(), list[Any]()
    lanes = {name: Lane(name) for name in "abc"}
    for lane in lanes.values():
        lane.hot = Heat.COLD
    flags = Flags(
        cast("Any", rows), asyncio.Lock(), lanes, listen=listen,
        say=told.append,
    )  # fmt: skip
    flags.on_watch = listen
    await flags.up(list(lanes.values()))
    if not listen:
        assert all(lane.flag for lane in lanes.values())
        assert told == [FlagsTold(up=False, raised=True)]
        return
    assert [lane.flag for lane in lanes.values()] == [True, None, True]
    assert [lane.hot for lane in lanes.values()] == [True, False, False]
    assert lanes["b"].looks  # then its flag is tried again
    rows.locked.clear()
    await flags.up(list(lanes.values()))
    assert all(lane.flag for lane in lanes.values())
    assert told == [FlagsTold(up=False, raised=True), FlagsTold(up=True, raised=True)]
