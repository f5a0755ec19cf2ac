"""What an error of a call says of the session that it was lent, and of the work itself."""

from __future__ import annotations

from dataclasses import dataclass

from pgqueue.db.faults import is_answer, is_connection_loss, is_read_only

__all__ = ["Aftermath", "aftermath"]


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What is left when a call has failed.

    ``lost``: its session has ended. ``unusable``: no other call may have its connection.
    ``undone``: the session was lost, and nothing of the work can have come to stay.
    """

    lost: bool
    unusable: bool
    undone: bool


def aftermath(error: Exception, *, closed: bool, sent: bool) -> Aftermath:
    """Say what is left. ``closed``: the connection is; ``sent``: a statement of the work was."""
    answered = is_answer(error)
    # A driver whose connection was ended under it stumbles in words of its own.
    lost = is_connection_loss(error) or (closed and not answered)
    unusable = lost or is_read_only(error) or not answered
    return Aftermath(lost=lost, unusable=unusable, undone=lost and not sent)
