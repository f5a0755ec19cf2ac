"""What the watchdog reads: which links are open, and until when their statements may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgqueue.db.link import Link

__all__ = ["NEVER", "Watch"]

NEVER = float("inf")


class Watch:
    """The statements under way, and when each must have ended. Read by the watchdog thread."""

    def __init__(self) -> None:
        self._links: set[Link] = set()
        self._unanswered: list[float] = []

    def add(self, link: Link) -> None:
        self._links.add(link)

    def discard(self, link: Link) -> None:
        self._links.discard(link)

    def asks(self) -> bool:
        """Return whether a statement is under way."""
        return any(link.due != NEVER for link in tuple(self._links))

    def overdue(self, now: float) -> list[Link]:
        """Return the links whose statement should have ended by ``now`` (monotonic seconds)."""
        return [link for link in tuple(self._links) if link.due < now]

    def unheard_since(self, moment: float) -> list[Link]:
        """Return the links that have heard nothing of the server since that moment."""
        return [link for link in tuple(self._links) if link.heard_at < moment]

    def idle(self, now: float) -> list[Link]:
        """Return the links that nobody has used for as long as they stay open without use."""
        return [link for link in tuple(self._links) if link.idle_since + link.rests_after < now]

    def note_unanswered(self, asked_at: float) -> None:
        """Note that nobody answered a connection that was begun then."""
        self._unanswered.append(asked_at)

    def unanswered(self) -> list[float]:
        """Return when those connections were begun that nobody answered, each once."""
        noted, self._unanswered = self._unanswered, []
        return noted

    def extend(self, seconds: float) -> None:
        """Leave out so many seconds: who would have read the answers was held up."""
        for link in tuple(self._links):
            link.heard_at += seconds
            if link.due != NEVER:
                link.due += seconds
