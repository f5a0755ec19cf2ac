"""The primary is gone at once, and the standby is promoted; the dsn names both."""

from __future__ import annotations

import time

from chaos.arenas.ground import BASE
from chaos.arenas.pair import Pair, pair
from chaos.figures.place import Bench, Place
from chaos.figures.row import Row, most
from tests.harness.servers import Server
from tests.harness.waiting import wait_until

__all__ = ["failover"]

_JOBS = 20


def failover(bench: Bench) -> list[Row]:
    """The standby has heard all before the primary goes: no commit of ours is lost."""
    seconds: list[float] = []
    with pair(bench.server.major, settings=BASE, waits=False) as both:
        server = Server(both.dsn)
        server.dsn_for = both.dsn_for  # type: ignore[method-assign]
        with bench.place("failover", server) as place, place.host() as host:
            host.until_ready()
            gate, jobs = place.held(_JOBS)
            place.until_begun(jobs)
            for last in (False, True) if not bench.quick else (True,):
                seconds.append(_fail_over(both, place))
                if not last:
                    both.follow()
            place.open(gate)
            states = place.until_finished(jobs)
            wrong = place.needless(jobs) + sum(state != "completed" for state in states.values())
    return [
        most("failover: first job after the promotion", seconds, "s", 5.0),
        Row(figure="failover: jobs lost or run twice", value=wrong, unit="jobs", target=0),
    ]


def _fail_over(both: Pair, place: Place) -> float:
    place.drift()
    place.until_flushed()
    wait_until(lambda: both.lag() == 0, what="the standby has heard all")
    both.primary.stop("immediate")
    both.promote()
    at = time.monotonic()
    job = place.enqueue("touch")
    return place.until_begun([job])[job].at - at
