"""What a task registers with Django's ``transaction.on_commit``, where a test never commits."""

from __future__ import annotations

import logging
from typing import Any

__all__ = ["call_registered", "count_registered"]

log = logging.getLogger("pgqueue.worker")


def count_registered(connection: Any, driver: str) -> int:
    """Return how many are registered; 0 where the connection is not Django's."""
    return len(connection.run_on_commit) if driver == "django" else 0


def call_registered(connection: Any, driver: str, before: int) -> None:
    """Call what was registered since there were ``before``, as the task's commit would have."""
    while driver == "django" and len(connection.run_on_commit) > before:  # one may register another
        _, function, robust = connection.run_on_commit.pop(before)
        try:
            function()
        except Exception:
            if not robust:
                raise
            log.exception("a robust on_commit() callback failed")
