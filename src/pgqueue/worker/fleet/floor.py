"""Below what position no job can appear any more."""

from __future__ import annotations

__all__ = ["Floor"]


class Floor:
    """Below what position no job can appear any more.

    A transaction has its id before its first position. So once all that ran when a horizon was
    noted have ended, every position handed out before is in the table or never will be. What is
    released appears at its old place, but counted as live all the time.
    """

    def __init__(self) -> None:
        self.position = 0
        self._noted: int | None = None
        self._horizon: tuple[int, int] | None = None
        self.server: object = None

    def learn(
        self,
        *,
        lowest_live: int | None,
        newest: int,
        oldest: int,
        following: int,
        server: object = None,
    ) -> None:
        """Take in one look at the table, on a server that began at ``server``.

        ``lowest_live`` position above the floor, in a snapshot whose oldest running transaction is
        ``oldest`` and whose first not begun is ``following``; ``newest`` position handed out, read
        after that snapshot was taken. Another server, or positions that went back, mean a failover:
        numbers that were noted here are handed out again, and all that was learnt is forgotten.
        """
        if server != self.server or (self._noted is not None and newest < self._noted):
            self.position = 0
            self._noted = self._horizon = None
            self.server = server
        if self._horizon is not None and oldest >= self._horizon[1]:
            safe = self._horizon[0]
            if lowest_live is not None:
                safe = min(safe, lowest_live - 1)
            self.position = max(self.position, safe)
            self._horizon = None
        if self._horizon is None:
            if self._noted is not None:
                # The horizon must be younger than the position: it is that of the next look.
                self._horizon = (self._noted, following)
            self._noted = newest
