"""Who waits for a turn gets the last one's connection with it, or opens one."""

from __future__ import annotations

import asyncio

from pgqueue.worker.run.turns import Turns


class Handed:
    ended = False

    def terminate(self) -> None:
        self.ended = True


async def waiters(turns: Turns[Handed], count: int) -> list[asyncio.Task[Handed | None]]:
    tasks = [asyncio.ensure_future(turns.take()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_a_free_turn_is_had_at_once_and_comes_with_nothing() -> None:
    turns: Turns[Handed] = Turns(2)
    assert [await turns.take(), await turns.take()] == [None, None]
    assert turns.all_taken
    turns.give(None)
    assert not turns.all_taken


async def test_who_has_waited_longest_is_handed_it() -> None:
    turns: Turns[Handed] = Turns(1)
    await turns.take()
    first, second = await waiters(turns, 2)
    assert turns.awaited
    handed = Handed()
    turns.give(handed)
    turns.give(None)
    assert [await first, await second] == [handed, None]
    assert turns.all_taken
    assert not turns.awaited


async def test_who_is_cancelled_hands_it_on() -> None:
    turns: Turns[Handed] = Turns(1)
    await turns.take()
    first, second = await waiters(turns, 2)
    handed = Handed()
    turns.give(handed)
    first.cancel()
    assert await second is handed
    assert not handed.ended


async def test_what_nobody_waits_for_any_more_is_ended() -> None:
    turns: Turns[Handed] = Turns(1)
    await turns.take()
    (only,) = await waiters(turns, 1)
    handed = Handed()
    turns.give(handed)
    only.cancel()
    await asyncio.wait([only])
    assert only.cancelled()
    assert handed.ended
    assert not turns.all_taken


async def test_who_was_cancelled_before_is_passed_by() -> None:
    turns: Turns[Handed] = Turns(1)
    await turns.take()
    first, second = await waiters(turns, 2)
    first.cancel()
    turns.give(None)
    assert await second is None
    assert turns.all_taken
