"""arq."""

from __future__ import annotations

from benchmarks.systems.redis import UNSAVED, RedisSystem

__all__ = ["SYSTEM"]

SYSTEM = RedisSystem(
    name="arq",
    package="arq",
    about=UNSAVED + "results not kept",
    settings="uvloop, max_jobs 500, keep_result 0, poll_delay 0.01",
    pace=1500,
    unfinished="ZCARD arq:queue",
    requires=("arq", "uvloop"),
)
