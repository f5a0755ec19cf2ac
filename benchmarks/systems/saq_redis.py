"""SAQ over Redis."""

from __future__ import annotations

from benchmarks.systems.redis import UNSAVED, RedisSystem

__all__ = ["SYSTEM"]

SYSTEM = RedisSystem(
    name="saq-redis",
    package="saq",
    about=UNSAVED + "keeps finished jobs for 10 minutes",
    settings="uvloop, concurrency 100; no bulk call: 64 enqueues under way at once",
    pace=2000,
    unfinished="ZCARD saq:default:incomplete",
    requires=("saq[redis]==0.26.*", "uvloop", "typing_extensions"),
)
