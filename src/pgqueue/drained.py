"""What running all due jobs has come to: how many attempts ended how, and which failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pgqueue.failure import Failure, describe
from pgqueue.outcome import Cancelled, Dead, Done, Outcome, Released, RetryAt

__all__ = ["Drained", "FailedAttempt", "How", "how_it_ended"]

How = Literal["completed", "retried", "snoozed", "dead", "cancelled", "released"]


def how_it_ended(outcome: Outcome) -> How:
    """Return the word for what an attempt came to."""
    match outcome:
        case Done():
            return "completed"
        case RetryAt():
            return "retried"
        case Dead():
            return "dead"
        case Cancelled():
            return "cancelled"
        case Released():
            return "released"
        case _:
            return "snoozed"


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt that raised: ``job_id``, name of the ``task``, and ``attempt``, 1 for the first.

    ``how``: "retried" or "dead". ``failure``: what is stored of the error, as text. ``error``: what
    it raised, if known.
    """

    job_id: int
    task: str
    attempt: int
    how: How
    failure: Failure
    error: BaseException | None = None

    def __str__(self) -> str:
        said = f"{self.failure.type}: {self.failure.message}"
        return f"job {self.job_id} ({self.task}), attempt {self.attempt}, {self.how}: {said}"


class Drained(dict[str, int]):
    """How many attempts ended how: ``{"completed": 2, "retried": 1}``; nothing that did not occur.

    ``completed``, ``retried``, ``snoozed``, ``dead``, ``cancelled``; ``released`` for those given
    back as they were. ``failures``: the attempts that raised, in their order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[FailedAttempt] = []

    def __repr__(self) -> str:
        lines = [super().__repr__(), *map(str, self.failures)]
        return "\n  ".join(lines)

    def add(
        self,
        outcome: Outcome,
        failure: Failure | None = None,
        *,
        job_id: int,
        task: str,
        attempt: int,
        error: BaseException | None = None,
    ) -> None:
        """Count what an attempt came to."""
        how = how_it_ended(outcome)
        self[how] = self.get(how, 0) + 1
        if isinstance(outcome, RetryAt | Dead):
            why = failure or (describe(error) if error is not None else _without_error(outcome))
            self.failures.append(FailedAttempt(job_id, task, attempt, how, why, error))


def _without_error(outcome: RetryAt | Dead) -> Failure:
    return Failure("Dead", outcome.reason, "") if isinstance(outcome, Dead) else outcome.failure
