"""How soon jobs start at one server while another one is away: ``python -m benchmarks.cells``.

One event loop works for two databases; a proxy stands before one of them. Jobs are enqueued at the
other one, one after another, while the proxy forwards, while it is silent, and while it refuses
connections. A figure is the time from the enqueue call to the handler's first line.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from contextlib import ExitStack

from tests.harness.proxy import Proxy

from benchmarks.cluster import own_server
from benchmarks.rows import percentile
from pgqueue import App, Workers

__all__ = ["main"]

MOST_MS = 10.0
_EVERY = 0.02
_SETTLED = 2.0
"""How long the worker of the other server has had to find out that it is away."""

app = App()
_waits: list[float] = []


@app.task
async def stamp(sent: float) -> None:
    _waits.append(1000 * (time.monotonic() - sent))


async def waits(client: App, jobs: int) -> list[float]:
    """Enqueue so many jobs; return how many milliseconds each waited."""
    _waits.clear()
    for _ in range(jobs):
        await client.aenqueue("stamp", {"sent": time.monotonic()})
        await asyncio.sleep(_EVERY)
    while len(_waits) < jobs:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return list(_waits)


async def measure(proxy: Proxy, dsn: str, jobs: int) -> tuple[dict[str, list[float]], float]:
    """Return the waits at the server of ``dsn``, by what the other one does.

    And how many milliseconds the first job of the other one waits when that is back.
    """
    found: dict[str, list[float]] = {}
    async with App(dsn) as client, App(proxy.dsn) as other:
        for one in (client, other):
            await one.amigrate()
        async with Workers(app, cells=[proxy.dsn, dsn], summary_interval=0) as workers:
            while not all(worker.is_running for worker in workers.by_cell.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await waits(client, 50)
            for what, begin in (
                ("answers", proxy.heal), ("is silent", proxy.blackhole), ("is down", proxy.refuse),
            ):  # fmt: skip
                begin()
                if what == "is down":
                    proxy.cut()
                await asyncio.sleep(_SETTLED)
                found[what] = await waits(client, jobs)
            proxy.heal()
            (back,) = await waits(other, 1)
    return found, back


def main() -> None:
    """Measure, print, and fail where one server hinders the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000, help="how many of each kind; 1000")
    options = parser.parse_args()
    with ExitStack() as stack:
        server = stack.enter_context(own_server())
        one, other = (
            stack.enter_context(server.database(name, lambda _: None)) for name in ("one", "other")
        )
        proxy = Proxy(other.dsn)
        stack.callback(proxy.close)
        found, back = asyncio.run(measure(proxy, one.dsn, options.jobs))
    for what, times in found.items():
        half, most = percentile(times, 0.5), percentile(times, 0.99)
        print(f"the other server {what}: p50 {half:.1f} ms, p99 {most:.1f} ms of {len(times)}")
    print(f"when it is back, its first job waits {back:.0f} ms")
    if percentile(found["is silent"] + found["is down"], 0.99) > MOST_MS:
        sys.exit(f"p99 is above {MOST_MS:g} ms while the other server is away")


if __name__ == "__main__":
    main()
