"""TERM to the first process of a container, while the app is imported.

The kernel gives process 1 no signal that it has no handler for: a TERM then would be lost, and
whoever stops the container would wait in vain. Later the worker has handlers of its own.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager

from pgqueue.observe.aside import leave

__all__ = ["heeding_term"]


@contextmanager
def heeding_term() -> Generator[None]:
    """End process 1 on TERM, for the body: no job has begun. Any other process ends by itself."""
    if os.getpid() != 1 or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda _number, _frame: leave(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
