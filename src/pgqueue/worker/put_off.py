"""Outcomes of jobs that wait a little for another try."""

from __future__ import annotations

import random

from pgqueue.outcome import Snoozed

__all__ = ["put_off", "without_room"]

_PUT_OFF_FROM, _PUT_OFF_TO = 2.0, 6.0
_WAIT_FROM, _WAIT_TO = 20.0, 40.0


def put_off() -> Snoozed:
    """Return the outcome of a job that others should have, or that should come again later."""
    return Snoozed(random.uniform(_PUT_OFF_FROM, _PUT_OFF_TO))


def without_room() -> Snoozed:
    """Return what becomes of a job that does not fit into the memory of this process.

    It may fit into another one, or later.
    """
    return Snoozed(random.uniform(_WAIT_FROM, _WAIT_TO))
