"""What to do about another worker that claims from the same queue. Time is handed in.

One worker claims from a queue at a time. Many at once would spend their time on rows that each
other has locked: 64 workers on two cores did a tenth of what four did. Who finds a queue busy and
has found jobs there, or was called, comes back a moment later, each time a bit later, and then
claims the more. Others leave it to whoever is there; the watch looks after that ever less often.
The lock behind it is a matter of speed: a claim that hangs is passed by.
"""

from __future__ import annotations

import random

__all__ = ["Contention"]

_BUSY_FIRST, _BUSY_FACTOR = 0.001, 2
_BUSY_FIRST_ON_WATCH, _BUSY_FACTOR_ON_WATCH = 0.008, 4
_BUSY_LONGEST = 0.25
_BUSY_ASK_AFTER = 2.0
_ENGAGED_SECONDS = 1.0
assert _BUSY_FIRST < _BUSY_FIRST_ON_WATCH < _BUSY_LONGEST < _BUSY_ASK_AFTER


class Contention:
    """How long a queue has been busy, and whose claim that was."""

    __slots__ = ("_asked_at", "_busy_since", "_found_at", "_holder", "_wait", "engaged",
                 "stuck", "turn")  # fmt: skip

    def __init__(self) -> None:
        self.turn = 0.0  # how long it was until others let us claim
        self.stuck = False  # somebody has been in the way for too long
        self.engaged = False  # we came back for it
        self._found_at = float("-inf")
        self._busy_since: float | None = None  # since when somebody else was claiming, each time
        self._wait = 0.0
        self._holder: str | None = None  # the transaction that was in the way when we asked
        self._asked_at = float("-inf")

    def found(self, now: float) -> None:
        """Jobs were found: it is worth coming back for more."""
        self._found_at = now

    def free(self, now: float) -> None:
        """Nobody else was claiming."""
        waited = self._busy_since is not None and self.engaged
        self.turn = now - (self._busy_since or now) if waited else 0.0
        self._busy_since = self._holder = None
        self.stuck = self.engaged = False
        self._wait = 0.0

    def busy(self, now: float, *, wanted: bool, on_watch: bool) -> float | None:
        """Somebody else was claiming: return when to look again, None if that is left to others.

        ``wanted``: there are jobs for this worker, whether it has found any or not.
        """
        engaged = wanted or now < self._found_at + _ENGAGED_SECONDS
        if self._busy_since is None:
            self._busy_since = now
        if engaged is not self.engaged:
            self.engaged, self._wait = engaged, 0.0
        if engaged:
            first, factor = _BUSY_FIRST, _BUSY_FACTOR
        elif on_watch:
            first, factor = _BUSY_FIRST_ON_WATCH, _BUSY_FACTOR_ON_WATCH
        else:
            return None
        self._wait = min(self._wait * factor, _BUSY_LONGEST) if self._wait else first
        return now + random.uniform(0.5, 1.0) * self._wait

    def asks_who(self, now: float) -> bool:
        """True if it has been busy for so long that somebody may hang there."""
        if self._busy_since is None or now < self._busy_since + _BUSY_ASK_AFTER:
            return False
        return now >= self._asked_at + _BUSY_ASK_AFTER

    def held_by(self, holder: str | None, now: float) -> None:
        """Note whose claim is in the way: if it is the same as a while ago, go past it."""
        self.stuck = holder is not None and holder == self._holder
        self._holder = holder
        self._asked_at = now
