"""What HUP asks of a worker that runs in this process alone: to go on with new code.

A supervisor replaces its processes. Here the worker stops in order, and the program begins anew
under the same process id; with a terminal, whose closing HUP tells, it only stops.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pgqueue.observe.aside import flush
from pgqueue.supervisor.wake import has_terminal
from pgqueue.worker.signals import heeding

if TYPE_CHECKING:
    from pgqueue.worker.worker import Worker
    from pgqueue.worker.workers import Workers

__all__ = ["heeding_hang_up"]

log = logging.getLogger("pgqueue.worker")


@contextmanager
def heeding_hang_up(worker: Worker | Workers) -> Generator[None]:
    """Heed HUP for the body, which runs the worker; after it, begin anew if that was asked for.

    A TERM or INT that comes as well has the last word: the program ends.
    """
    asked: list[int] = []

    def on_signal(number: int) -> None:
        if not asked:  # asked twice it is no stop without grace
            asked.append(number)
            worker.request_stop()

    with heeding((signal.SIGHUP,), on_signal):
        yield
    if asked and not worker.told_by_signal and not has_terminal():
        log.info("SIGHUP: beginning anew")
        flush()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606
