"""Names that the demo's processes share; those in sql/ are the same."""

from __future__ import annotations

__all__ = ["APP", "CONCURRENCY", "PROCESSES", "QUEUE_SCHEMA"]

APP = "pgqueue.demo.tasks:app"
QUEUE_SCHEMA = "pgqueue_demo_queue"
PROCESSES = 2
CONCURRENCY = 8
