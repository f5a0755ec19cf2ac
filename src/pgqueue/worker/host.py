"""Runs one worker as the business of its process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from pgqueue.worker.guard import Guard

__all__ = ["LoopFactory", "host"]

log = logging.getLogger("pgqueue.worker")

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def host(
    work: Coroutine[Any, Any, None],
    *,
    guard: Guard,
    loop_factory: LoopFactory | None = None,
    on_loop: Callable[[asyncio.AbstractEventLoop], None] | None = None,
    on_end: Callable[[], None] | None = None,
) -> None:
    """Run ``worker.run(guard=guard, ...)`` in an event loop of its own, in the main thread.

    ``on_loop`` is told the loop before it runs; ``on_end`` is called after an end without error.
    """
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        loop = runner.get_loop()
        task = loop.create_task(work, name="pgqueue worker")
        if on_loop is not None:
            on_loop(loop)
        while not task.done():
            try:
                loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt) as exc:
                # asyncio lets these two through from any of its tasks. Whoever waits for that task
                # gets it as well, and the loop can go on.
                if task.done():
                    break
                log.warning("%r was raised in a task of the event loop; the worker goes on", exc)
            except Exception:
                if not task.done():
                    raise
        guard.ended(1 if task.cancelled() or task.exception() is not None else 0)
        task.result()
        if on_end is not None:
            on_end()
