"""Runs one worker as the business of its process, and keeps jobs from deciding over its end."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["LoopFactory", "host", "limit_exit"]

log = logging.getLogger("pgqueue.worker")

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

_EXIT_SECONDS = 5.0


def host(
    work: Coroutine[Any, Any, None],
    *,
    loop_factory: LoopFactory | None = None,
    on_loop: Callable[[asyncio.AbstractEventLoop], None] | None = None,
    on_end: Callable[[], None] | None = None,
) -> None:
    """Run ``worker.run(...)`` in an event loop of its own, in the main thread.

    ``on_loop`` is told the loop before it runs; ``on_end`` is called after an end without error.
    What jobs leave behind in threads and tasks gets five seconds, then the process ends.
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
        task.result()
        limit_exit(0)
        if on_end is not None:
            on_end()


def limit_exit(code: int) -> None:
    """End soon: closing the loop, and then the interpreter, waits for what may never end."""

    def end() -> None:
        threading.Event().wait(_EXIT_SECONDS)
        log.warning("what jobs left behind does not end; leaving it")
        os._exit(code)

    threading.Thread(target=end, name="pgqueue-exit", daemon=True).start()
