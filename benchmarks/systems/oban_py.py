"""Oban for Python, the free package."""

from __future__ import annotations

from benchmarks.systems.base import PythonSystem

__all__ = ["SYSTEM"]

SYSTEM = PythonSystem(
    name="oban-py",
    package="oban",
    about="keeps completed jobs for a day; rescues by a minute's timer; "
    "runs on Python 3.12 or newer",
    settings="uvloop, psycopg pool of 10, one queue with limit 1000 (its guide on queues); "
    "enqueue_many in batches of 1,000",
    pace=3_500,
    unfinished="select count(*) from oban_jobs where state in ('available', 'executing', "
    "'scheduled', 'retryable')",
    knobs={"BENCH_CONCURRENCY": ("1000", "250", "500", "2000")},
    requires=("oban==0.6.*", "uvloop", "psycopg[binary,pool]"),
    minimum=(3, 12),
)
