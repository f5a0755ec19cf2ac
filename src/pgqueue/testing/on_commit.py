"""What a task registers with Django's ``transaction.on_commit``, where a test never commits."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

__all__ = ["on_commit_called"]

log = logging.getLogger("pgqueue.testing")


@contextmanager
def on_commit_called(connection: Any, driver: str) -> Generator[None]:
    """Call at the end of the block what it has registered, as the commit of the attempt would.

    Nothing where the connection is not Django's, or the block raises.
    """
    before = len(connection.run_on_commit) if driver == "django" else 0
    yield
    if driver == "django":
        while len(connection.run_on_commit) > before:  # one may register another
            _, function, robust = connection.run_on_commit.pop(before)
            try:
                function()
            except Exception:
                if not robust:
                    raise
                log.exception("a robust on_commit() callback failed")
