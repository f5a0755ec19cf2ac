"""What a notification says. Anybody may send one: what it says is never trusted, only looked into.

The schema's functions ``notify`` and ``call`` write them: a letter, and what belongs to it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "CancelAsked",
    "DueIn",
    "Enqueued",
    "FlowTicketed",
    "LimitsChanged",
    "Lowered",
    "Notice",
    "Permits",
    "Rewound",
    "SlotIn",
    "WatchLeft",
    "Word",
    "WorkersCalled",
    "read",
]

_LONGEST_DELAY = 3600.0
_REACH_DIGITS, _POSITION_DIGITS = 9, 19  # of an integer, of a bigint


@dataclass(frozen=True, slots=True)
class Enqueued:
    """``q``: this queue has a job."""

    queue: str


@dataclass(frozen=True, slots=True)
class FlowTicketed:
    """``f``: this flow has tickets."""

    flow: str


@dataclass(frozen=True, slots=True)
class WorkersCalled:
    """``m``: this queue has more than others can take; so many workers are called."""

    queue: str
    reach: int


@dataclass(frozen=True, slots=True)
class Lowered:
    """``d``: a worker took the flag of this queue down."""

    queue: str


@dataclass(frozen=True, slots=True)
class Rewound:
    """``r``: a job is ready again at an old position."""

    queue: str
    position: int


@dataclass(frozen=True, slots=True)
class DueIn:
    """``s``: a job is due in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SlotIn:
    """``t``: a slot of a schedule is due in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """``c``: somebody asked to cancel a job that runs."""


@dataclass(frozen=True, slots=True)
class LimitsChanged:
    """``l``: somebody changed the limits of a queue."""


@dataclass(frozen=True, slots=True)
class Permits:
    """``p``: there is a permit of a queue for a worker; or, 0, somebody wants those not in use."""

    queue: str
    worker: int


@dataclass(frozen=True, slots=True)
class WatchLeft:
    """``w``: a worker left the watch."""


@dataclass(frozen=True, slots=True)
class Word:
    """``h``: nothing, but that it is heard."""


Notice = (
    Enqueued | FlowTicketed | WorkersCalled | Lowered | Rewound | DueIn | SlotIn | CancelAsked
    | LimitsChanged | Permits | WatchLeft | Word
)  # fmt: skip


_WORDS: dict[str, Notice] = {
    "c": CancelAsked(), "l": LimitsChanged(), "w": WatchLeft(), "h": Word(),
}  # fmt: skip


def read(payload: str) -> Notice | None:
    """Return what a notification says; None if it is nothing that we know."""
    kind, _, rest = payload.partition(":")
    match kind:
        case "q":
            return Enqueued(rest)
        case "f":
            return FlowTicketed(rest)
        case "m":
            reach, _, queue = rest.partition(":")
            number = _number(reach, _REACH_DIGITS)
            return None if number is None else WorkersCalled(queue, number)
        case "d":
            return Lowered(rest)
        case "r":
            position, _, queue = rest.partition(":")
            number = _number(position, _POSITION_DIGITS)
            return None if number is None else Rewound(queue, number)
        case "p":
            worker, _, queue = rest.partition(":")
            number = _number(worker, _POSITION_DIGITS)
            return None if number is None else Permits(queue, number)
        case "s":
            seconds = _seconds(rest)
            return None if seconds is None else DueIn(seconds)
        case "t":
            seconds = _seconds(rest)
            return None if seconds is None else SlotIn(seconds)
        case _:
            return _WORDS.get(kind)


def _number(text: str, digits: int) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= digits else None


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < _LONGEST_DELAY else None
