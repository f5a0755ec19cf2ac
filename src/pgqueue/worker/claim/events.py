"""What the parts of a claimer say: two things to the claimer, the rest to their worker."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "AnswerLost",
    "CameToWatch",
    "FlagsTold",
    "HeartbeatWanted",
    "Inner",
    "LimitReached",
    "ListensAnew",
    "Said",
]


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
    """This worker deserves another seat: it asks for a heartbeat at once."""


@dataclass(frozen=True, slots=True)
class CameToWatch:
    """This worker came to the watch: it may have missed anything."""


@dataclass(frozen=True, slots=True)
class ListensAnew:
    """This worker was deaf: it may have missed anything."""


Inner = CameToWatch | ListensAnew
Said = LimitReached | AnswerLost | FlagsTold | HeartbeatWanted
