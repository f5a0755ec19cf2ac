"""Outcomes of jobs that wait a little for another try."""

from __future__ import annotations

import random
from dataclasses import dataclass

from pgqueue.outcome import Snoozed

__all__ = ["PUT_OFF", "PutOff"]


@dataclass(frozen=True, slots=True)
class PutOff:
    """Between how many seconds such a job waits: many that wait should not come at once."""

    least: float = 2.0
    most: float = 6.0
    least_without_room: float = 20.0
    most_without_room: float = 40.0

    def __post_init__(self) -> None:
        assert self.least <= self.most
        assert self.least_without_room <= self.most_without_room

    def a_moment(self) -> Snoozed:
        """Return the outcome of a job that others should have, or that should come again later."""
        return Snoozed(random.uniform(self.least, self.most))

    def without_room(self) -> Snoozed:
        """Return what becomes of a job that does not fit into the memory of this process.

        It may fit into another one, or later.
        """
        return Snoozed(random.uniform(self.least_without_room, self.most_without_room))


PUT_OFF = PutOff()
