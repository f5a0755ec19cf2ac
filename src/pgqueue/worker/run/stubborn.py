"""Jobs that were told to end and go on: a coroutine that catches its cancellation, a thread.

Each keeps its slot until it returns. After some seconds the log says which job it is and where, and
the slot counts as stuck. The attempt then gets its outcome, as if the job had ended when it was
told to: a later one of its own changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import base_events
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

    from asyncpg import Record

__all__ = ["Stubborn", "where"]

log = logging.getLogger("pgqueue.worker")

_NOT_THEIRS = (str(Path(base_events.__file__).parent), str(Path(__file__).parent))


class Stubborn:
    """The jobs of one worker that do not end in time, on its loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._stuck: set[asyncio.Task[Any]] = set()

    @property
    def count(self) -> int:
        """How many slots are stuck."""
        return len(self._stuck)

    def told(
        self, task: asyncio.Task[Any], record: Record, why: str, give_up: Callable[[], object]
    ) -> None:
        """This task was told to end its job; if it has not ended in time, ``give_up`` is called."""
        timer = self._loop.call_later(self._seconds, self._look, task, record, why, give_up)
        task.add_done_callback(lambda _: timer.cancel())

    def _look(
        self, task: asyncio.Task[Any], record: Record, why: str, give_up: Callable[[], object]
    ) -> None:
        if task.done():
            return
        self._stuck.add(task)
        task.add_done_callback(self._stuck.discard)
        log.warning(
            "job %d (%s) was told to end %g s ago (%s) and goes on; it keeps its slot%s",
            record["id"], record["task"], self._seconds, why, where(task),
            extra={"job_id": record["id"], "task": record["task"]},
        )  # fmt: skip
        give_up()


def where(task: asyncio.Task[Any]) -> str:
    """Return at which line of the job's own code a task waits, as text to append; or nothing."""
    waiting: Any = task.get_coro()
    line = ""
    while waiting is not None:
        frame: FrameType | None = (
            getattr(waiting, "cr_frame", None)
            or getattr(waiting, "gi_frame", None)
            or getattr(waiting, "ag_frame", None)
        )
        if frame is not None and not frame.f_code.co_filename.startswith(_NOT_THEIRS):
            line = f'; it is in {frame.f_code.co_name}, "{frame.f_code.co_filename}", line '
            line += str(frame.f_lineno)
        waiting = (
            getattr(waiting, "cr_await", None)
            or getattr(waiting, "gi_yieldfrom", None)
            or getattr(waiting, "ag_await", None)
        )
    return line
