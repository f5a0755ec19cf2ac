"""Where the children of a supervisor have registered, and what is left of those that crashed."""

from __future__ import annotations

import time

from pgqueue import failpoints
from pgqueue.config import WorkerSettings
from pgqueue.db.source import Source
from pgqueue.supervisor.child_rescue import FINISH_SECONDS, ChildRescue
from pgqueue.supervisor.control import Message
from pgqueue.supervisor.process import Process

__all__ = ["Crashes"]


class Crashes:
    """A rescue for each server that the children work for: none waits for another."""

    def __init__(self, supervisor: int, settings: WorkerSettings, servers: int) -> None:
        self._rescues = [ChildRescue(supervisor, settings) for _ in range(servers)]
        self._databases: dict[int, tuple[str, str]] = {}

    @property
    def has_reached_one(self) -> bool:
        """True once some child has registered."""
        return bool(self._databases)

    def registered(self, message: Message) -> None:
        """Note what a child has said of its database; it may have another password by now."""
        self._databases[message["cell"]] = message["dsn"], message["schema"]

    def release(self, process: Process) -> None:
        """Release what this process held, as soon as each server lets us."""
        if failpoints.armed is not None:
            failpoints.armed.reach("supervisor.child_ended")
        for cell, (_, schema) in self._databases.items():
            self._rescues[cell].note(
                process.pid, Source(lambda cell=cell: self._databases[cell][0]), schema,
                process.begun(cell), told_to_stop=process.told_to_stop,
            )  # fmt: skip

    def finish(self) -> None:
        """Wait until all is released, but for some seconds at most."""
        until = time.monotonic() + FINISH_SECONDS
        for rescue in self._rescues:
            rescue.finish(max(0.0, until - time.monotonic()))
