"""What follows from a claim that failed: nothing, all goes back, or the one job is bad."""

from __future__ import annotations

import asyncio

import pytest

from pgqueue.db.faults import Contended
from pgqueue.errors import DatabaseError, OutcomeUnknown, Unreachable
from pgqueue.outcome import RELEASED, Dead, Outcome, Snoozed
from pgqueue.worker.claim.unread import Loss, loss_of


class Refused(Exception):
    sqlstate = "57014"


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("room", [1, 2])
@pytest.mark.parametrize(
    ("error", "loss"),
    [
        (Unreachable("it was never sent"), Loss(None)),
        (caused(DatabaseError("refused"), Refused()), Loss(None)),
        (caused(Contended("took too long"), Refused()), Loss(None, long=True)),
        (Contended("took too long"), Loss(RELEASED, long=True)),
        (OutcomeUnknown("no answer"), Loss(RELEASED)),
        (caused(OutcomeUnknown("no answer"), Refused()), Loss(RELEASED)),
        (asyncio.CancelledError(), Loss(RELEASED)),
        (KeyError("nobody expects this"), Loss(RELEASED)),
    ],
    ids=repr,
)
def test_what_becomes_of_what_it_may_have_taken(
    error: BaseException, loss: Loss, room: int
) -> None:
    assert loss_of(error, room=room) == loss


@pytest.mark.parametrize(
    ("error", "alone"), [(ValueError("no row"), Dead), (MemoryError(), Snoozed)], ids=repr
)
def test_who_cannot_be_read_is_found_by_claiming_it_alone(
    error: Exception, alone: type[Outcome]
) -> None:
    assert loss_of(error, room=2) == Loss(RELEASED, unread=True)
    loss = loss_of(error, room=1)
    assert loss.unread
    assert isinstance(loss.outcome, alone)
