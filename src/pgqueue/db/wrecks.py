"""What blocking calls leave that were given up in the middle of a step: loop, connection, tasks.

To collect them is to run their code, on a loop that is closed. So the latest are kept as they are,
and of earlier ones the code is ended first, out of sight: what it raises then concerns nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Any

__all__ = ["KEPT", "keep", "kept", "let_go", "say_nothing"]

KEPT = 16
"""So many are kept."""

# A coroutine that awaits in its own end has to be closed again, once for each time.
_CLOSE_TIMES = 10
kept: deque[tuple[list[asyncio.Task[Any]], object]] = deque()


def keep(loop: asyncio.AbstractEventLoop, connection: object, task: asyncio.Task[Any]) -> None:
    """Keep a loop that was given up, with what is on it; let go of the oldest beyond KEPT."""
    loop.set_exception_handler(say_nothing)
    tasks = [task]
    with contextlib.suppress(Exception):
        tasks += asyncio.all_tasks(loop) - {task}
    for one in tasks:
        one._log_destroy_pending = False  # type: ignore[attr-defined]  # pyright: ignore
    kept.append((tasks, (loop, connection)))
    while len(kept) > KEPT:
        with contextlib.suppress(IndexError):  # another thread was first
            let_go(kept.popleft()[0])


def let_go(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        coroutine: Any = task.get_coro()
        for _ in range(_CLOSE_TIMES):
            with contextlib.suppress(Exception):
                coroutine.close()
                break


def say_nothing(_loop: object, _context: object) -> None:
    """Nobody is to hear what the driver says of a connection that was given up."""
