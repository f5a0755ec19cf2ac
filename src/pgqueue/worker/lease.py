"""Until when others leave alone what this worker has claimed."""

from __future__ import annotations

import math

__all__ = ["Lease"]


class Lease:
    """The worker's lease as its own clock has it: the lifeline writes it, the runner reads it.

    Counted from before the pulse was sent, it ends here before it ends in the database.
    """

    __slots__ = ("until",)

    def __init__(self) -> None:
        self.until = -math.inf  # by time.monotonic()

    def hold(self, since: float, seconds: float) -> None:
        """It runs for so many seconds from the monotonic time ``since``."""
        self.until = since + seconds

    def drop(self) -> None:
        """It is lost."""
        self.until = -math.inf
