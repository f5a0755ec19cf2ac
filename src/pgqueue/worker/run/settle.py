"""What an attempt comes to, as a table: what it was told, and how it ended, give a decision.

| told to end by        | returned | raised CancelledError | waited in vain | raised another |
|-----------------------|----------|-----------------------|----------------|----------------|
| nobody                | done     | failed                | put off        | failed         |
| timeout               | done     | timed out             | put off        | failed         |
| timeout, in a wait    | done     | put off               | put off        | failed         |
| a cancel request      | done     | cancelled             | cancelled      | cancelled      |
| a stop of the worker  | done     | released              | released       | failed         |
| the loss of its lease | done     | nothing               | nothing        | nothing        |
| abandoned             | nothing  | nothing               | nothing        | nothing        |
| its own transaction   | nothing  | nothing               | nothing        | nothing        |

A job that returned is done, whatever it was told: if its lease is lost, the database refuses it.
One is abandoned that did not end when it was told to: its outcome was written then. One that its
own transaction completed has its outcome already.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

__all__ = ["NOTHING", "TABLE", "Decision", "Ended", "Told", "Why", "settle"]

Why = Literal["timeout", "waiting", "cancelled", "stop", "lost", "abandoned"]
"""Why a job should end. ``waiting``: a timeout that came while it waited for a connection."""

Told = Why | Literal["completed"] | None
"""What is known of an attempt as it ends; None if nobody told it to."""


class Ended(Enum):
    """How a job ended. It waited in vain if it raised only that it got no connection of ours."""

    RETURNED = "returned"
    CANCELLED = "raised CancelledError"
    WAITED = "waited in vain"
    RAISED = "raised another"


class Decision(Enum):
    """What follows from an attempt. Of one that failed, its error and its policy say the rest."""

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    PUT_OFF = "put off"
    CANCELLED = "cancelled"
    RELEASED = "released"
    NOTHING = "nothing"


DONE, FAILED, TIMED_OUT = Decision.DONE, Decision.FAILED, Decision.TIMED_OUT
PUT_OFF, CANCELLED, RELEASED = Decision.PUT_OFF, Decision.CANCELLED, Decision.RELEASED
NOTHING = Decision.NOTHING

_ROWS: dict[Told, tuple[Decision, Decision, Decision, Decision]] = {
    None: (DONE, FAILED, PUT_OFF, FAILED),
    "timeout": (DONE, TIMED_OUT, PUT_OFF, FAILED),
    "waiting": (DONE, PUT_OFF, PUT_OFF, FAILED),
    "cancelled": (DONE, CANCELLED, CANCELLED, CANCELLED),
    "stop": (DONE, RELEASED, RELEASED, FAILED),
    "lost": (DONE, NOTHING, NOTHING, NOTHING),
    "abandoned": (NOTHING, NOTHING, NOTHING, NOTHING),
    "completed": (NOTHING, NOTHING, NOTHING, NOTHING),
}

TABLE: dict[tuple[Told, Ended], Decision] = {
    (told, ended): decision
    for told, row in _ROWS.items()
    for ended, decision in zip(Ended, row, strict=True)
}


def settle(told: Told, ended: Ended) -> Decision:
    """Return what an attempt comes to."""
    return TABLE[told, ended]
