"""The systems under test, by name, in the order of the tables."""

from __future__ import annotations

from importlib import import_module

from benchmarks.systems.base import System

__all__ = ["NAMES", "get"]

_MODULES = (
    "pgqueue",
    "baseline",
    "graphile_worker",
    "pg_boss",
    "pgqueuer",
    "oban_py",
    "chancy",
    "procrastinate",
    "saq",
    "absurd",
    "dbos",
    "awa_pg",
    "celery",
    "dramatiq",
    "arq",
    "saq_redis",
    "rq",
)
NAMES = tuple(name.replace("_", "-") for name in _MODULES)


def get(name: str) -> System:
    return import_module(f"benchmarks.systems.{name.replace('-', '_')}").SYSTEM
