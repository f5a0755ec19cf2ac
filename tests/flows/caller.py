"""Who calls admissions: what it remembers of their answers, and when it calls again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from tests.flows.life import Life

__all__ = ["Admission", "Caller", "Floors"]


@dataclass
class Floors:
    """Below these nothing is to be found, as the answers of one flow say."""

    position: int = 0
    ticket: int = 0
    turn: object = "-infinity"
    closing: tuple[int, int] | None = (
        None  # up to this ticket, once all before this transaction are over
    )

    def take(self, answer: Any) -> None:
        if answer["newest_ticket"] is None:  # of a flow that is not there
            return
        if answer["lowest"] is not None:
            self.position = answer["lowest"] - 1
        if answer["first_turn"] is not None:
            self.turn = answer["first_turn"].isoformat()
        if self.closing is not None and answer["oldest"] >= self.closing[1]:
            if answer["cleared"]:
                self.ticket = max(self.ticket, self.closing[0])
            self.closing = None
        if self.closing is None:
            self.closing = (answer["newest_ticket"], answer["following"])

    @property
    def all(self) -> tuple[int, int, object]:
        return self.position, self.ticket, self.turn


@dataclass
class Admission:
    """One that gave something: when, between two readings of the clock, and to whom."""

    began: float
    ended: float
    jobs: list[tuple[int, str, int]]  # id, key, weight


@dataclass
class Caller:
    """A worker's side of admissions. ``open``: the flow of one that has not committed yet."""

    life: Life
    floors: dict[str, Floors] = field(default_factory=dict[str, Floors])
    again: dict[str, float] = field(
        default_factory=dict[str, float]
    )  # flow -> when it is to be called again
    open: str | None = None

    async def admit(self, flow: str, ready_most: int, *, floored: bool = True) -> Any:
        floors = self.floors.setdefault(flow, Floors())
        answer = await self.life.admit(flow, ready_most, floors.all if floored else Floors().all)
        self.again.pop(flow, None)
        if answer["more"]:
            self.again[flow] = 0.0
        elif answer["wait"] is not None:
            self.again[flow] = time.monotonic() + answer["wait"]
        return answer

    def kept(self, flow: str, answer: Any) -> None:
        """The admission has committed."""
        if answer["admitted"] >= 0:
            self.floors[flow].take(answer)
