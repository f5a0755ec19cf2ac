"""Dramatiq over Redis."""

from __future__ import annotations

from benchmarks.systems.redis import UNSAVED, RedisSystem

__all__ = ["SYSTEM"]

SYSTEM = RedisSystem(
    name="dramatiq",
    package="dramatiq",
    about=UNSAVED + "tasks without async",
    settings="one process with 8 threads a worker",
    pace=2000,
    unfinished="LLEN dramatiq:default",
    requires=("dramatiq[redis]",),
)
