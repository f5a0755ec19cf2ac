"""Names that the demo's processes share; those in sql/ are the same."""

from __future__ import annotations

__all__ = [
    "APP",
    "AT_ONCE",
    "CONCURRENCY",
    "EVERY",
    "LARGE",
    "PROCESSES",
    "QUEUE_SCHEMA",
    "SCHEDULE",
    "SMALL",
]

APP = "pgqueue.demo.tasks:app"
QUEUE_SCHEMA = "pgqueue_demo_queue"
PROCESSES = 2
CONCURRENCY = 8
SCHEDULE = "tally"
EVERY = 2
"""Seconds from one slot of the schedule to the next."""
LARGE = "large"
SMALL = "small"
AT_ONCE = 12
"""The limit of a tenant: so many of its jobs run at once, in all workers together."""
