"""Operators' verbs on a client, each in a blocking and an async flavour: ``cancel``, ``acancel``.

They run on the client's own connections. Wrong values raise ConfigError before anything connects.
"""

from __future__ import annotations

from pgqueue.operations.dead import DeadOperations
from pgqueue.operations.fleet import FleetOperations
from pgqueue.operations.flows import FlowOperations
from pgqueue.operations.jobs import JobOperations
from pgqueue.operations.slot_jobs import ScheduleOperations

__all__ = ["Operations", "ScheduleOperations"]


class Operations(JobOperations, DeadOperations, FleetOperations, FlowOperations):
    """What Client and App inherit."""
