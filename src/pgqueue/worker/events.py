"""What the parts of a worker say has happened. ``reactions.py`` says what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pgqueue.worker.receipt import Entry

__all__ = [
    "AnswerLost", "CameToWatch", "CancelWanted", "CannotWrite", "ClaimEvent", "EndEvent", "Event",
    "Events", "FinishEvent", "FlagsTold", "FleetEvent", "FlowsSeen", "HeartbeatFailed",
    "HeartbeatWanted", "LeaseHeldAgain", "LeaseRevoked", "LimitReached", "LimitsTold",
    "ListensAnew", "Looked", "LoopAnswered", "MinutePassed", "NextDue", "NextSlot", "NotOurs",
    "PermitsMoved", "QueuesReady", "ReadyAgain",
    "Rejoined", "Seated", "ServerSilent", "TicketsWritten", "Written",
]  # fmt: skip

E = TypeVar("E", contravariant=True)


class Events(Protocol[E]):
    """Where a part says what has happened: the only way in which it speaks to the others."""

    def send(self, event: E, /) -> None:
        """Have it done what follows."""
        ...


# -- of claim


@dataclass(frozen=True, slots=True)
class LimitReached:
    """The last of ``max_jobs`` has begun."""


@dataclass(frozen=True, slots=True)
class AnswerLost:
    """Nobody knows what a claim took: whoever keeps the account looks."""


@dataclass(frozen=True, slots=True)
class FlagsTold:
    """Whether enqueuers tell this worker, or the watch, what will be due; ``raised``: just now."""

    up: bool
    raised: bool = False


@dataclass(frozen=True, slots=True)
class HeartbeatWanted:
    """There is something to learn: a heartbeat is to be sent at once.

    ``limits``: somebody has changed the limits of a queue.
    """

    limits: bool = False


@dataclass(frozen=True, slots=True)
class QueuesReady:
    """Jobs of these queues were due, and are ready now."""

    queues: Iterable[str]


@dataclass(frozen=True, slots=True)
class CameToWatch:
    """This worker came to the watch: it may have missed anything. Said within the claimer."""


@dataclass(frozen=True, slots=True)
class ListensAnew:
    """This worker was deaf: it may have missed anything. Said within the claimer."""


@dataclass(frozen=True, slots=True)
class TicketsWritten:
    """Jobs of these flows came in line, or left their slots. Finish says it as well.

    ``delay``: in so many seconds others may have seen to it.
    """

    flows: Iterable[str]
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Looked:
    """The claimer has looked for jobs; ``poll``: in all its queues, as it does now and then."""

    poll: bool


# -- of finish


@dataclass(frozen=True, slots=True)
class Written:
    """These outcomes, but plain success of jobs without a flow, are dealt with."""

    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class NotOurs:
    """A job was not this worker's any more when its outcome was to be written."""

    job_id: int


@dataclass(frozen=True, slots=True)
class CannotWrite:
    """No outcome could be written for the length of a lease: this worker gives itself up."""

    error: BaseException


# -- of fleet, said in the heartbeat thread; what follows is done on the worker's loop


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
class NextSlot:
    """The next slot of a schedule is due in so many seconds; below 0, it has been for so long.

    A notification says it as well.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class LimitsTold:
    """The limits of this worker's queues, as register_worker.sql answers them."""

    said: str | None


@dataclass(frozen=True, slots=True)
class PermitsMoved:
    """There is a permit of a queue for this worker; or, 0, somebody wants those that lie idle."""

    queue: str
    worker: int


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
class LoopAnswered:
    """The worker's loop was asked whether it runs, and answered after so many seconds."""

    lag: float


@dataclass(frozen=True, slots=True)
class FlowsSeen:
    """There are flows. ``slots``: of all workers, None if they were not counted."""

    slots: int | None
    workers: int


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


ClaimEvent = (
    LimitReached | AnswerLost | FlagsTold | HeartbeatWanted | QueuesReady | TicketsWritten | Looked
)
FinishEvent = Written | NotOurs | CannotWrite | TicketsWritten
FleetEvent = (
    CancelWanted | LeaseRevoked | LeaseHeldAgain | Rejoined | ReadyAgain | NextDue | NextSlot
    | LimitsTold | PermitsMoved | Seated | FlowsSeen | LoopAnswered | ServerSilent | MinutePassed
    | HeartbeatFailed
)  # fmt: skip
Event = ClaimEvent | FinishEvent | FleetEvent
"""What the parts say to each other."""

EndEvent = LimitReached | CannotWrite | HeartbeatFailed
"""What decides over the life of the worker."""
