"""What the heartbeat thread says to its worker. Each is handled on the worker's loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = [
    "CancelWanted",
    "Event",
    "HeartbeatFailed",
    "LeaseHeldAgain",
    "LeaseRevoked",
    "MinutePassed",
    "NextDue",
    "ReadyAgain",
    "Rejoined",
    "Seated",
    "Send",
    "ServerSilent",
]


@dataclass(frozen=True, slots=True)
class CancelWanted:
    """These jobs are to be cancelled, as far as they run here."""

    job_ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class LeaseRevoked:
    """This worker's row is gone: others have, or will have, what it held."""


@dataclass(frozen=True, slots=True)
class LeaseHeldAgain:
    """The lease had run out by this worker's clock, and was renewed all the same."""


@dataclass(frozen=True, slots=True)
class Rejoined:
    """The heartbeat succeeds again, or the worker registered anew: it may have missed anything."""


@dataclass(frozen=True, slots=True)
class ReadyAgain:
    """Jobs are ready again at old positions; the lowest of each queue."""

    lowest: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class NextDue:
    """The next scheduled job is due in so many seconds; below 0, it has been due for so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Seated:
    """A heartbeat was answered: so many come before this worker, of so many alike.

    ``running``, ``takes_jobs``: what the heartbeat said.
    """

    before: int
    alike: int
    running: int
    takes_jobs: bool


@dataclass(frozen=True, slots=True)
class ServerSilent:
    """A connection was found silent: others may be as silent."""


@dataclass(frozen=True, slots=True)
class MinutePassed:
    """A minute has passed: what was idle for long may be closed."""


@dataclass(frozen=True, slots=True)
class HeartbeatFailed:
    """The heartbeat thread ends by an error that nobody expected."""

    error: BaseException


Event = (
    CancelWanted
    | LeaseRevoked
    | LeaseHeldAgain
    | Rejoined
    | ReadyAgain
    | NextDue
    | Seated
    | ServerSilent
    | MinutePassed
    | HeartbeatFailed
)
Send = Callable[[Event], None]
"""Carries an event to the worker's loop, from the heartbeat thread."""
