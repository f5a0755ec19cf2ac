"""When single jobs come so fast that notifications are worth nothing, and how often to look then.

A notification costs the server more than a claim: commits that notify wait for each other, and each
wakes sessions. So where notifications follow each other closely, a watcher takes the flag down and
looks every few ms instead. Closely is within 1 ms, or three times what a claim takes: on a server
that is slow or busy a claim takes longer, and notifications are dearer still. Not where a stream of
such jobs would be over at once.

Numbers are from two cores with five callers that enqueue one job after another: beside other load
they get 250 jobs a second through with notifications, and 2,000 without.
"""

from __future__ import annotations

__all__ = ["Stream", "spacing_after"]

_CLOSE, _CLOSE_SHARE = 0.001, 3
_COST_WEIGHT = 0.25
_BEGINS_AFTER = 8  # notifications that followed each other closely
_FIRST, _FACTOR, _LONGEST = 0.001, 1.5, 0.008
_DENSE = ((2, 0.004), (6, 0.016))  # from so many jobs a ms on, so long: each claim has its cost
_SPAN, _LEAST = 0.05, 8  # over when it brought fewer jobs in so many seconds
_CLOSE_MOST = _SPAN / _LEAST
assert _CLOSE < _CLOSE_MOST
assert _FIRST < _LONGEST < _DENSE[-1][1] < _SPAN


def spacing_after(count: int) -> float:
    """Return the seconds until the next claim of a stream, after one that found so many jobs."""
    dense = (min(_FIRST * count / rate, longest) for rate, longest in _DENSE)
    return max(_FIRST, *dense)


class Stream:
    """What a watcher knows of the single jobs of one queue. Time is handed in."""

    __slots__ = ("_close", "_cost", "_found", "_notified_at", "_since", "_spacing", "on")

    def __init__(self) -> None:
        self.on = False
        self._close = 0  # notifications in turn that came closely
        self._notified_at = float("-inf")
        self._cost = 0.0  # what a claim takes
        self._since, self._found = 0.0, 0  # jobs in this span
        self._spacing = _FIRST

    @property
    def is_due(self) -> bool:
        """True if looking every few ms would be cheaper than notifications."""
        return self._close >= _BEGINS_AFTER

    def on_notification(self, now: float) -> None:
        """Somebody enqueued, and said so."""
        within = min(max(_CLOSE, _CLOSE_SHARE * self._cost), _CLOSE_MOST)
        close = now - self._notified_at < within
        self._close = self._close + 1 if close else 0
        self._notified_at = now

    def begin(self, count: int, now: float) -> float:
        """Begin, after a claim of ``count`` jobs; return when to look next."""
        self.on = True
        self._since, self._found = now, 0
        return self._next(count, now)

    def end(self) -> None:
        """Wait for notifications again."""
        self.on = False
        self._close = 0

    def note_claim(self, seconds: float) -> None:
        """Note how long a claim took; the last few count."""
        self._cost += (seconds - self._cost) * (_COST_WEIGHT if self._cost else 1.0)

    def go_on(self, count: int, now: float) -> float | None:
        """Return when to look next, after a look that brought ``count``; None if it is over."""
        self._found += count
        if now > self._since + _SPAN:
            if self._found < _LEAST:
                return None
            self._since, self._found = now, 0
        return self._next(count, now)

    def _next(self, count: int, now: float) -> float:
        spacing = spacing_after(count) if count else self._spacing
        self._spacing = min(spacing * _FACTOR, _LONGEST)
        return now + spacing
