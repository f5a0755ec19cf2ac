"""Below what admissions of a flow need not look, as earlier ones told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

__all__ = ["EVER", "Answer", "Floors"]

EVER = datetime(1, 1, 2, tzinfo=UTC)


class Answer(Protocol):
    """What an admission answered; see admit_jobs.sql."""

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(slots=True)
class Floors:
    """Those of one flow. They save time alone: dead rows below them are not walked over.

    ``position``: no admitted job has one at or below. ``ticket``: none has an id at or below.
    ``turn``: no line has one before.
    """

    position: int = 0
    ticket: int = 0
    turn: datetime = EVER
    _noted: int = 0
    _horizon: tuple[int, int] | None = None

    def learn(self, answer: Answer) -> None:
        """Take in an answer of an admission that was not told to wait for another one."""
        if answer["newest_ticket"] is None:  # of a flow of which there is nothing but its name
            return
        if answer["newest_ticket"] < self._noted or self._went_back(answer["first_turn"]):
            # Numbers are handed out again after a failover; a clock may be put back.
            self.position = self.ticket = self._noted = 0
            self.turn, self._horizon = EVER, None
            return
        if answer["lowest"] is not None:
            self.position = answer["lowest"] - 1
        if answer["first_turn"] is not None:
            self.turn = answer["first_turn"]
        self._noted = answer["newest_ticket"]
        if self._horizon is not None and answer["oldest"] >= self._horizon[1]:
            # All that could bring a ticket up to there was over, so it was seen.
            if answer["cleared"]:
                self.ticket = self._horizon[0]
            self._horizon = None
        if self._horizon is None:
            self._horizon = (self._noted, answer["following"])

    def _went_back(self, turn: datetime | None) -> bool:
        return turn is not None and turn < self.turn
