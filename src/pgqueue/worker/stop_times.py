"""How long each part of a stop may take.

With default settings and a server that answers, a stop takes at most

- 20 (grace) + 5 (cancel) + 1 (slots) + 2 s (close) with jobs that do not end when they are
  cancelled; they are released after the first two;
- 20 (grace) + 5 (cancel) + 1 (probe) + 2.5 s (release) with a job that blocks the event loop.

Both are below the 30 s after which Kubernetes sends KILL.
"""

from __future__ import annotations

from pgqueue.config import WorkerSettings
from pgqueue.db.session import LOCK_SECONDS

__all__ = [
    "ANNOUNCE_SECONDS",
    "ASIDE_SECONDS",
    "CANCEL_SECONDS",
    "CLOSE_SECONDS",
    "FORCED_SECONDS",
    "PROBE_SECONDS",
    "RELEASE_SECONDS",
    "SLOTS_SECONDS",
    "WRITE_SECONDS",
    "longest",
    "patience",
]

CANCEL_SECONDS = 5.0
"""How long cancelled jobs may take to end."""

ASIDE_SECONDS = 1.0
"""How long an outcome whose row is locked waits for its next try."""

PROBE_SECONDS = 1.0
"""How long an event loop may take to answer before it counts as blocked at a stop."""

RELEASE_SECONDS = 2.5
"""How long releasing jobs may take when the event loop is blocked."""

SLOTS_SECONDS = 1.0
"""How long slots with jobs that do not end are waited for, once those are released."""

CLOSE_SECONDS = 2.0
"""How long the event loop and the interpreter may take to close after a stop."""

FORCED_SECONDS = 1.0
"""How long cancelled jobs may take to end after a second request."""

WRITE_SECONDS = 5.0
"""How long writing what is left may take, at least."""

ANNOUNCE_SECONDS = 2.0
"""How long telling the others what is ready again may take."""

_MARGIN = 15.0
_KUBERNETES_SECONDS = 30.0

# A supervisor is more patient than any stop of its process is long, on a server that answers.
assert WRITE_SECONDS + ANNOUNCE_SECONDS + SLOTS_SECONDS + CLOSE_SECONDS < _MARGIN
assert PROBE_SECONDS + RELEASE_SECONDS < _MARGIN
# An outcome whose row was locked is tried once more before it is given up.
assert LOCK_SECONDS + ASIDE_SECONDS + LOCK_SECONDS < WRITE_SECONDS
assert FORCED_SECONDS < CANCEL_SECONDS


def longest(settings: WorkerSettings) -> float:
    """Return how many seconds a stop takes at most, on a server that answers."""
    stuck, blocked = SLOTS_SECONDS + CLOSE_SECONDS, PROBE_SECONDS + RELEASE_SECONDS
    return settings.grace + CANCEL_SECONDS + max(stuck, blocked)


def patience(settings: WorkerSettings, *, forced: bool = False) -> float:
    """Return how many seconds after a request to stop a process is killed that still runs.

    It allows for a server that does not answer, which delays a stop by up to three deadlines.
    """
    grace = 0.0 if forced else settings.grace
    return grace + CANCEL_SECONDS + _MARGIN + 3 * settings.deadline


assert longest(WorkerSettings()) < _KUBERNETES_SECONDS
assert longest(WorkerSettings()) < patience(WorkerSettings())
