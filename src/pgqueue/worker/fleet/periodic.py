"""Runs what is to be done again and again, one step of a work at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Protocol

from pgqueue.worker.fleet.background import AGAIN_AFTER, Background, on_error
from pgqueue.worker.fleet.timetable import Timetable

__all__ = ["PeriodicWork", "Work"]


class Work(Protocol):
    """Something that is done again and again."""

    def begin(self) -> float:
        """Forget what the steps before found; return the seconds until the first one."""
        ...

    async def step(self, *, called: bool) -> float:
        """Do it once; return the seconds until the next time. ``called``: somebody asks for it."""
        ...


class PeriodicWork:
    """Used on one loop alone. A step that takes long delays no other work."""

    def __init__(
        self,
        works: Mapping[str, Work],
        background: Background,
        again_after: float = AGAIN_AFTER,
    ) -> None:
        self._works = works
        self._background = background
        self._again_after = again_after
        self._timetable = Timetable()
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def call(self, name: str, seconds: float | None = None) -> None:
        """Have a work done now, or in so many seconds; if it is being done, then once more."""
        if seconds is None:
            self._timetable.call(name)
        else:
            self._timetable.call(name, time.monotonic() + seconds)
        self._changed.set()

    def start(self) -> None:
        """Begin, unless it runs; it ends with the background."""
        if self._running is None or self._running.done():
            self._running = self._background.spawn(self._run())

    async def _run(self) -> None:
        for name, work in self._works.items():
            self._put(name, work.begin())
        while True:
            for name, called in self._timetable.due(time.monotonic()):
                self._background.spawn(self._do(name, called=called))
            self._changed.clear()
            await self._wait(self._timetable.next_at() - time.monotonic())

    async def _do(self, name: str, *, called: bool) -> None:
        work = self._works[name]
        try:
            wait = await work.step(called=called)
        except Exception as exc:
            on_error(exc)
            await asyncio.sleep(self._again_after)
            wait = work.begin()
        self._put(name, wait)

    def _put(self, name: str, seconds: float) -> None:
        self._timetable.put(name, time.monotonic() + seconds)
        self._changed.set()

    async def _wait(self, seconds: float) -> None:
        """Wait so long, or until something is put down or called for."""
        try:
            async with asyncio.timeout(seconds if seconds < float("inf") else None):
                await self._changed.wait()
        except TimeoutError:
            pass
