"""How much of a job comes with its claim, and what becomes of one that cannot be read."""

from __future__ import annotations

import asyncpg
import pytest

from pgqueue.db.faults import as_ours
from pgqueue.errors import PgQueueError
from pgqueue.outcome import Dead, Snoozed
from pgqueue.worker.claim.inline import inline_bytes
from pgqueue.worker.run.large import not_read


@pytest.mark.parametrize("room", [1, 10, 100, 1000, 10_000])
def test_an_answer_is_bounded_however_many_jobs_are_claimed(room: int) -> None:
    # Compressed to a fourth.
    assert room * inline_bytes(room) * 4 <= 32 * 2**20


def test_small_arguments_always_come_along() -> None:
    assert inline_bytes(1_000_000) >= 256
    assert inline_bytes(0) > 0


def ours(error: Exception) -> Exception:
    mapped = as_ours(error, "postgresql://h/d")
    mapped.__cause__ = error
    return mapped


@pytest.mark.parametrize(
    "error",
    [asyncpg.DataCorruptedError("missing chunk number 0"), asyncpg.DataError("no such value")],
)
def test_a_job_whose_row_is_refused_is_dead(error: Exception) -> None:
    outcome = not_read(ours(error))
    assert isinstance(outcome, Dead)
    assert outcome.reason.startswith(f"its arguments cannot be read: {error}")


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InsufficientPrivilegeError("permission denied for table job"),
        asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        ConnectionResetError("cut"),
        MemoryError(),
        PgQueueError("of any kind"),
    ],
)
def test_any_other_job_that_cannot_be_read_waits(error: Exception) -> None:
    """As it was, the same worker would claim it again at once, and spin."""
    outcome = not_read(ours(error))
    assert isinstance(outcome, Snoozed)
    assert outcome.delay > 1
