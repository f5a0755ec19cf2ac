"""What a job forks is no worker: the copy of one that it inherits does nothing there.

Its sessions are replaced (db/forks.py), its signal handlers are put back (signals.py), its threads
do not exist. What is left is an event loop, if it was an async task that forked: a child that comes
back to it, or to the thread of its job, has lost its way and ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from typing import Any, NoReturn, Protocol
from weakref import WeakSet

from pgqueue.errors import ConfigError

__all__ = ["came_back", "disown_in_forks", "end_when_it_comes_back", "refuse_in_forks"]

log = logging.getLogger("pgqueue.worker")

_LOST = 1


class _Disowned(Protocol):
    def disown(self) -> None: ...


_workers: WeakSet[_Disowned] = WeakSet()


def disown_in_forks(worker: _Disowned) -> None:
    """Let this worker be none in a process that is forked while it runs."""
    _workers.add(worker)


def came_back() -> NoReturn:
    """End a forked process that goes on as if it were its parent."""
    with suppress(Exception):
        log.error(
            "process %d was forked by a job and came back from its task: it ends here. A child "
            "should call os._exit() where its work ends", os.getpid(),
        )  # fmt: skip
    os._exit(_LOST)


def end_when_it_comes_back(loop: asyncio.AbstractEventLoop) -> None:
    """End this process as soon as it goes on with its parent's event loop."""
    loop.call_soon(came_back)
    ready: Any = getattr(loop, "_ready", None)
    if ready is not None:  # uvloop has none
        ready.rotate(1)  # before what the parent was about to do


def refuse_in_forks(pid: int) -> None:
    """Raise ConfigError if this process is not that one, the worker's."""
    if os.getpid() != pid:
        raise ConfigError(
            f"this process was forked from the worker, process {pid}: job.transaction() "
            "belongs there, where the job is completed"
        )


def _disown() -> None:
    for worker in list(_workers):
        with suppress(Exception):
            worker.disown()  # but for those that do not run: they may, here


os.register_at_fork(after_in_child=_disown)
