"""Places where a test makes this process die, stand still, or lose a connection.

``PGQUEUE_FAILPOINT="claim_jobs.after:kill@3"`` in the environment of a worker process kills it when
it comes there for the third time; several stand between commas. Unarmed, a place costs an ``if``.

    kill  SIGKILL to this process
    stop  SIGSTOP to this process, which somebody else has to continue
    cut   the socket of the connection concerned is shut; ``after`` a statement, its answer is lost

``x.before`` and ``x.after`` are those of the statement ``x``; it has committed ``after``, unless it
is one of several in a transaction.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import signal
import socket
import threading
from collections.abc import Callable

from pgqueue.errors import ConfigError

__all__ = ["POINTS", "Failpoints", "arm", "arm_from_environment", "armed", "disarm", "shut"]

ACTIONS = ("kill", "stop", "cut")
VARIABLE = "PGQUEUE_FAILPOINT"
POINTS = {
    "admit_jobs.after": "cut",
    "admit_jobs.before": "cut",
    "bury_flow_jobs.after": "cut",
    "bury_flow_jobs.before": "cut",
    "bury_jobs.after": "cut",
    "bury_jobs.before": "cut",
    "claim.received": "cut",
    "claim_jobs.after": "cut",
    "claim_jobs.before": "cut",
    "client.after": "cut",
    "client.before": "cut",
    "drop_history.after": "cut",
    "enqueue.before_commit": "cut",
    "ensure_history.after": "cut",
    "find_held.after": "cut",
    "find_orphans.after": "cut",
    "finish_flow_jobs.after": "cut",
    "finish_flow_jobs.before": "cut",
    "finish_jobs.after": "cut",
    "finish_jobs.before": "cut",
    "fire_slots.after": "cut",
    "fire_slots.before": "cut",
    "job.ended": "",
    "job.starting": "",
    "lock_children.after": "cut",
    "lock_lost_worker.after": "cut",
    "lower_flags.after": "cut",
    "migrate.applied": "cut",
    "migrate.committed": "cut",
    "promote_jobs.after": "cut",
    "promote_jobs.before": "cut",
    "raise_flags.after": "cut",
    "register_worker.after": "cut",
    "register_worker.before": "cut",
    "release_flow_jobs.after": "cut",
    "release_flow_jobs.before": "cut",
    "remove_worker.after": "cut",
    "remove_worker.before": "cut",
    "renew_lease.after": "cut",
    "renew_lease.before": "cut",
    "rescue_jobs.after": "cut",
    "release_jobs.after": "cut",
    "release_jobs.before": "cut",
    "rewind_queues.before": "cut",
    "supervisor.child_ended": "",
    "take_duty.after": "cut",
    "take_leave.after": "cut",
    "take_leave.before": "cut",
    "thread_transaction.before_commit": "cut",
    "thread_transaction.after_commit": "cut",
    "transaction.after_commit": "cut",
    "transaction.before_commit": "cut",
    "transaction.before_finish": "cut",
    "wake_queues.before": "cut",
}
"""Every place; ``cut`` where a connection is concerned."""

_FORM = re.compile(r"([\w.]+):(\w+)(?:@([1-9]\d{0,8}))?")


class Failpoints:
    """What is armed in this process, and how often each place is still to be passed."""

    def __init__(self, text: str) -> None:
        self._lock = threading.Lock()
        self._left: dict[str, int] = {}
        self._actions: dict[str, str] = {}
        for part in text.split(","):
            name, action, count = _parse(part.strip())
            self._left[name] = count
            self._actions[name] = action

    def reach(self, name: str, cut: Callable[[], object] | None = None) -> None:
        """Do what is armed for this place, if this is the time."""
        action = self._actions.get(name)
        if action is None:
            return
        with self._lock:
            self._left[name] -= 1
            if self._left[name]:
                return
        # Not through logging, which may hold it in a buffer: the next line may be the last.
        os.write(2, f"failpoint {name}: {action}\n".encode())
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif cut is not None:
            cut()


armed: Failpoints | None = None
"""None in production."""


def arm(text: str) -> None:
    """Arm the places that ``text`` names, for this process; ConfigError if it says none."""
    global armed  # noqa: PLW0603  (one flag, looked at by all)
    armed = Failpoints(text)


def disarm() -> None:
    """Arm none."""
    global armed  # noqa: PLW0603
    armed = None


def arm_from_environment() -> None:
    """Arm what PGQUEUE_FAILPOINT says, if it is set. For the entry of a process."""
    text = os.environ.get(VARIABLE)
    if text:
        arm(text)


def shut(fd: int) -> None:
    """Shut a connection's socket down, without a word to whoever reads from it."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fd)) as own:
        own.shutdown(socket.SHUT_RDWR)


def _parse(part: str) -> tuple[str, str, int]:
    match = _FORM.fullmatch(part)
    if match is None:
        raise ConfigError(f'a failpoint is "name:action" or "name:action@times", got "{part}"')
    name, action, count = match.group(1), match.group(2), int(match.group(3) or 1)
    if name not in POINTS:
        raise ConfigError(f'there is no failpoint "{name}"{_nearest(name, tuple(POINTS))}')
    if action not in ACTIONS:
        raise ConfigError(f'a failpoint cannot "{action}"{_nearest(action, ACTIONS)}')
    if action == "cut" and not POINTS[name]:
        raise ConfigError(f'failpoint "{name}" has no connection to cut')
    return name, action, count


def _nearest(word: str, words: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(word, words, 1, 0.0)
    return f'; did you mean "{near[0]}"?' if near else ""
