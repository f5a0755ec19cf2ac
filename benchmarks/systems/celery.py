"""Celery over Redis, settings from its guide on optimizing."""

from __future__ import annotations

from benchmarks.systems.redis import UNSAVED, RedisSystem

__all__ = ["SYSTEM"]

SYSTEM = RedisSystem(
    name="celery",
    package="celery",
    about=UNSAVED + "tasks without async",
    settings="prefork with one process a worker, results ignored, "
    "worker_prefetch_multiplier 128, no gossip, mingle or heartbeat (its guide on optimizing)",
    pace=900,
    unfinished="LLEN celery; HLEN unacked",
    requires=("celery[redis]==5.*",),
)
