"""RQ."""

from __future__ import annotations

from benchmarks.systems.redis import UNSAVED, RedisSystem

__all__ = ["SYSTEM"]

SYSTEM = RedisSystem(
    name="rq",
    package="rq",
    about=UNSAVED + "forks for each job",
    settings="its usual worker; enqueue_many",
    pace=200,
    unfinished="LLEN rq:queue:default; ZCARD rq:wip:default",
    requires=("rq",),
)
