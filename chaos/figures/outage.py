"""The server is gone at once and stays away for five minutes."""

from __future__ import annotations

import time

from chaos.arenas.ground import BASE
from chaos.figures.place import Bench
from chaos.figures.restart import until_accepted
from chaos.figures.row import Row
from tests.harness.servers import own_server

__all__ = ["outage"]

_SECONDS = 300.0
_JOBS = 40
_SETTLED = 3.0


def outage(bench: Bench) -> list[Row]:
    """Jobs end while nobody can write it down; processes wait, and use next to nothing."""
    seconds = _SECONDS if not bench.quick else 15.0
    name = f"server away for {seconds:g} s"
    with (
        own_server(bench.server.major, settings=BASE) as server,
        bench.place("outage", server) as place,
        place.host() as host,
    ):
        assert server.cluster is not None
        host.until_ready()
        spans = [{"seconds": 1.0 + seconds * n / _JOBS} for n in range(_JOBS)]
        jobs = place.enqueue_many("linger", spans)
        place.until_begun(jobs)
        place.until_flushed()
        before = set(host.pids())
        server.cluster.stop("immediate")
        began = time.monotonic()
        time.sleep(_SETTLED)
        used, since = host.cpu_seconds(), time.monotonic()
        time.sleep(began + seconds - time.monotonic())
        share = _shares(used, host.cpu_seconds(), time.monotonic() - since)
        server.cluster.start()
        at = until_accepted(place)
        states = place.until_finished(jobs, timeout_s=60.0)
        arrived = time.monotonic() - at
        job = place.enqueue("touch")
        place.until_begun([job])
        wrong = place.needless(jobs) + sum(state != "completed" for state in states.values())
        gone = before - set(host.pids())
    return [
        Row(figure=f"{name}: processes that exited", value=len(gone), unit="processes", target=0),
        Row(
            figure=f"{name}: of a core, the busiest process",
            value=100 * max(share),
            unit="%",
            target=2.0,
            note=f"the host, {len(share)} processes: {100 * sum(share):.2f} %",
        ),
        Row(
            figure=f"{name}: outcomes lost, or jobs run twice",
            value=wrong,
            unit="jobs",
            target=0,
            note=f"{len(jobs)} jobs; all outcomes there {arrived:.1f} s after it was back",
        ),
    ]


def _shares(before: dict[int, float], after: dict[int, float], seconds: float) -> list[float]:
    return [(after[pid] - used) / seconds for pid, used in before.items() if pid in after]
