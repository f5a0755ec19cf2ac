"""How many short jobs run in child processes: ``python -m benchmarks.children``.

A worker of its own, on a server of its own, drains so many jobs that return at once; the children
are warm. A figure is jobs a second from the enqueue on, the best turn first.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
import time

from benchmarks.apps.in_children import app, short
from benchmarks.cluster import own_server
from pgqueue import Worker

__all__ = ["main"]

LEAST_RATE = 3000.0


async def turn(jobs: int, children: int) -> tuple[float, float]:
    """Drain so many jobs; return how many a second, and the worker's microseconds of each."""
    await app.aenqueue_many([short.job(0)] * children)
    worker = Worker(app, children=children)
    async with worker:
        while worker.statistics().completed < children:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        made = [short.job(n) for n in range(jobs)]
        began, cpu = time.perf_counter(), _cpu()
        await app.aenqueue_many(made)
        while worker.statistics().completed < children + jobs:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        seconds = time.perf_counter() - began
        return jobs / seconds, 1e6 * (_cpu() - cpu) / jobs


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measure(jobs: int, children: int, times: int) -> list[tuple[float, float]]:
    """Migrate, and take so many turns."""
    await app.amigrate()
    found = [await turn(jobs, children) for _ in range(times)]
    await app.aclose()
    return found


def main() -> None:
    """Measure, print, and fail where it is too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000, help="how many; 10000")
    parser.add_argument("--children", type=int, default=2, help="how many processes; 2")
    parser.add_argument("--times", type=int, default=3, help="how many turns; 3")
    options = parser.parse_args()
    with own_server() as server, server.database("children", lambda _: None) as database:
        os.environ["PGQUEUE_DSN"] = database.dsn
        found = asyncio.run(measure(options.jobs, options.children, options.times))
    for rate, cpu in sorted(found, reverse=True):
        print(f"{rate:7,.0f} jobs/s with {options.children} children; {cpu:.0f} us of the worker")
    if max(found)[0] < LEAST_RATE:
        sys.exit(f"less than {LEAST_RATE:,.0f} jobs/s")


if __name__ == "__main__":
    main()
