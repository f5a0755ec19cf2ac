"""What a pool has open in a process, and what becomes of that; no server is needed."""

from __future__ import annotations

import asyncio
import os

from pgqueue.db.blocking import BlockingConnection
from pgqueue.db.opened import Opened


def test_a_child_starts_with_none_and_closes_none_of_its_parents() -> None:
    opened = Opened(2)
    own, loop = BlockingConnection(), asyncio.new_event_loop()
    opened.blocking.spare.append(own)
    opened.add(loop, 2)
    opened.pid = -1  # as a child sees it
    opened.forked(3)
    assert opened.pid == os.getpid()
    assert (opened.blocking.spare, opened.blocking.size, opened.loops) == ([], 3, {})
    opened.close()
    assert not own.loop.is_closed()
    own.close()
    loop.close()


def test_loops_that_ended_are_dropped_when_another_begins() -> None:
    opened = Opened(2)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    opened.add(first, 2)
    first.close()
    state = opened.add(second, 2)
    assert opened.loops == {second: state}
    second.close()
    opened.pid = -1
    opened.close()
    assert opened.loops == {second: state}, "a child leaves what its parent has"


async def test_only_the_running_loop_is_closed() -> None:
    opened = Opened(2)
    other = asyncio.new_event_loop()
    opened.add(asyncio.get_running_loop(), 2)
    theirs = opened.add(other, 2)
    await opened.aclose()
    assert opened.loops == {other: theirs}
    other.close()
