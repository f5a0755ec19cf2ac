"""What a worker writes of a claimed job: an outcome, with the receipt of the claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgqueue.outcome import Outcome, RetryAt, Snoozed

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["Claimed", "Entry", "entry_of"]

Claimed = tuple["Record", int]
"""A claimed job, and the token of its claim."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An outcome other than plain success of a job without a flow, with the receipt of its claim.

    ``used``: the tokens of its flow's rate that it used, if it said so. ``held``: for how many
    seconds its key admits nothing, or its whole flow if ``holds_flow``.
    """

    id: int
    token: int
    outcome: Outcome
    task: str = ""
    queue: str = ""
    attempt: int = 0
    position: int | None = None
    rung: int = 0  # see finish.rungs: how much is left out
    flow: str | None = None
    used: float | None = None
    held: float | None = None
    holds_flow: bool = False


def entry_of(record: Record, token: int, outcome: Outcome, used: float | None = None) -> Entry:
    """Return the completer's entry for a claimed job. ``used``: the tokens that it has charged."""
    flow = record["flow"]
    held, holds_flow = (None, False) if flow is None else _break(outcome)
    return Entry(
        id=record["id"],
        token=token,
        outcome=outcome,
        task=record["task"],
        queue=record["queue"],
        attempt=record["attempt"],
        position=record["position"],
        flow=flow,
        used=used,
        held=held,
        holds_flow=holds_flow,
    )


def _break(outcome: Outcome) -> tuple[float | None, bool]:
    """Return for how many seconds an outcome holds its key, and whether it holds its whole flow."""
    if not isinstance(outcome, RetryAt | Snoozed) or outcome.pause is None:
        return None, False
    return outcome.delay, outcome.pause == "flow"
