"""What a claimer knows of one queue: when to look at it, and who is in the way.

One worker claims from a queue at a time. Many at once would spend their time on rows that each
other has locked: 64 workers on two cores did a tenth of what four did. Who finds a queue busy comes
back a moment later, each time a bit later, and then claims the more. The lock behind it is a matter
of speed: a claim that hangs is passed by.
"""

from __future__ import annotations

import random

__all__ = ["Lane"]

_BUSY_FIRST = 0.001
_BUSY_LONGEST = 0.25
_BUSY_ASK_AFTER = 2.0


class Lane:
    """What the claimer knows of one queue."""

    __slots__ = (
        "asked_at",
        "busy_since",
        "flag",
        "full_since",
        "holder",
        "hot",
        "looks",
        "name",
        "owed",
        "stuck",
        "turn",
        "wait",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.hot = True  # it may have work: look at it in the next claim
        self.full_since: float | None = None
        self.flag: bool | None = None  # whether its waiting flag is up, as far as we know
        self.looks: list[float] = []  # moments of the looks that are still to come, latest first
        self.owed = False  # a look back that was put off
        self.busy_since: float | None = None  # since when somebody else was claiming, each time
        self.wait = _BUSY_FIRST
        self.turn = 0.0  # how long it was until others let us claim
        self.holder: str | None = None  # the transaction that was in the way when we asked
        self.asked_at = 0.0
        self.stuck = False  # it has been in the way for too long

    def look_at(self, moment: float) -> None:
        """Look at the queue then, unless it is looked at before."""
        if not self.looks or self.looks[-1] > moment:
            self.looks.append(moment)

    def met(self, *, busy: bool, now: float) -> None:
        """Note whether somebody else was claiming; look again soon if so, each a bit later."""
        if not busy:
            self.turn = 0.0 if self.busy_since is None else now - self.busy_since
            self.busy_since = self.holder = None
            self.stuck = False
            self.wait = _BUSY_FIRST
            return
        if self.busy_since is None:
            self.busy_since = now
        self.look_at(now + random.uniform(0.5, 1.0) * self.wait)
        self.wait = min(self.wait * 2, _BUSY_LONGEST)

    def asks_who(self, now: float) -> bool:
        """True if it has been busy for so long that somebody may hang there."""
        if self.busy_since is None or now < self.busy_since + _BUSY_ASK_AFTER:
            return False
        return now >= self.asked_at + _BUSY_ASK_AFTER

    def held_by(self, holder: str | None, now: float) -> None:
        """Note whose claim is in the way: if it is the same as a while ago, go past it."""
        self.stuck = holder is not None and holder == self.holder
        self.holder = holder
        self.asked_at = now
