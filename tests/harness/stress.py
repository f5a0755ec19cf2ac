"""Starts and stops a machine from many tasks at once, in any order, and looks for what is left."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import random
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from tests.harness.waiting import PATIENCE, eventually

__all__ = ["Subject", "stress"]

TASKS, ROUNDS, WAVES = 10, 50, 10
COMPLAINTS = ("never retrieved", "was destroyed", "exception in callback", "never awaited")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A machine. ``works`` returns once a machine that was started does what it is for.

    ``refuses``: what a start may raise.
    """

    start: Callable[[], Awaitable[object] | None]
    stop: Callable[[], Awaitable[object]]
    works: Callable[[], Awaitable[object]]
    refuses: tuple[type[BaseException], ...] = ()

    async def begin(self) -> None:
        """Start it; it may refuse."""
        with contextlib.suppress(*self.refuses):
            answer = self.start()
            if inspect.isawaitable(answer):
                await answer

    async def end(self) -> None:
        """Stop it."""
        await self.stop()


async def stress(
    make: Callable[[], Subject],
    caplog: pytest.LogCaptureFixture,
    *,
    rounds: int = ROUNDS,
    waves: int = WAVES,
    anew: bool = False,
    seed: int = 1,
) -> None:
    """Ten tasks start and stop one machine, each so often; then nothing of it may be left.

    The rounds come in waves: some find it at work, others find it stopped. After each wave it is
    stopped, and in the end it must work once more. ``anew``: for a machine of one start, which is
    another one in each wave.
    """
    rng = random.Random(seed)
    own, threads = asyncio.all_tasks(), set(threading.enumerate())
    subject = make()
    async with asyncio.timeout(PATIENCE):
        for _ in range(waves):
            if rng.random() < 0.7:
                await subject.begin()
                if rng.random() < 0.5:
                    await subject.works()
            await asyncio.gather(*(_worry(subject, rng, rounds // waves) for _ in range(TASKS)))
            await subject.end()
            await _nothing_left(own, threads)
            if anew:
                subject = make()
        await subject.begin()
        await subject.works()
        await subject.end()
        await subject.end()
        await _nothing_left(own, threads)
    gc.collect()
    await asyncio.sleep(0)
    said = caplog.text.lower()
    assert not [text for text in COMPLAINTS if text in said], caplog.text


async def _worry(subject: Subject, rng: random.Random, rounds: int) -> None:
    verbs = [subject.begin, subject.begin, subject.end, subject.end]
    for _ in range(rounds):
        for verb in rng.sample(verbs, rng.randint(1, len(verbs))):
            await _pause(rng)
            doing = asyncio.create_task(verb())
            if rng.random() < 0.3:
                await _pause(rng)
                doing.cancel()
            await asyncio.wait([doing])
            if not doing.cancelled():
                doing.result()


async def _pause(rng: random.Random) -> None:
    """Let the others have some turns of the loop; now and then let something come due."""
    for _ in range(rng.choice([0, 0, 1, 2, 5])):
        await asyncio.sleep(0)
    if rng.random() < 0.1:
        await asyncio.sleep(0.001)


async def _nothing_left(own: set[asyncio.Task[object]], threads: set[threading.Thread]) -> None:
    """Wait until all tasks and threads are those that were there before."""

    def left() -> list[str]:
        here = [repr(task) for task in asyncio.all_tasks() - own]
        return here + [thread.name for thread in set(threading.enumerate()) - threads]

    with contextlib.suppress(AssertionError):
        await eventually(lambda: not left(), timeout_s=30.0)
    assert not left(), f"left behind: {left()}"
