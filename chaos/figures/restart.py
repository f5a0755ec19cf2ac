"""The server is restarted, and is back within the lease."""

from __future__ import annotations

import contextlib
import time

import psycopg

from chaos.arenas.ground import BASE
from chaos.figures.place import Bench, Place
from chaos.figures.row import Row, most
from pgqueue.embedded.cluster import Cluster
from tests.harness.servers import own_server

__all__ = ["restart", "until_accepted"]

_AWAY_SECONDS = (0.0, 0.5, 2.0, 5.0, 9.0)
_JOBS = 20


def until_accepted(place: Place, timeout_s: float = 60.0) -> float:
    """Wait until the server accepts a connection; return when."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(place.dsn, connect_timeout=5).close()
            return time.monotonic()
        time.sleep(0.005)
    raise RuntimeError("the server accepts nobody")


def restart(bench: Bench) -> list[Row]:
    """Fast restarts, the server away for longer each time; jobs that run go on."""
    with (
        own_server(bench.server.major, settings=BASE) as server,
        bench.place("restart", server) as place,
        place.host() as host,
    ):
        assert server.cluster is not None
        host.until_ready()
        before = set(host.pids())
        gate, jobs = place.held(_JOBS)
        place.until_begun(jobs)
        spans = _AWAY_SECONDS if not bench.quick else _AWAY_SECONDS[::2]
        seconds = [_restart(server.cluster, place, away) for away in spans]
        place.open(gate)
        states = place.until_finished(jobs)
        wrong = place.needless(jobs) + sum(state != "completed" for state in states.values())
        gone = before - set(host.pids())
    return [
        most("server restarted: first job after it accepts connections", seconds, "s", 2.0),
        Row(figure="server restarted: jobs that ran twice", value=wrong, unit="jobs", target=0),
        Row(
            figure="server restarted: processes that exited",
            value=len(gone),
            unit="processes",
            target=0,
        ),
    ]


def _restart(cluster: Cluster, place: Place, away: float) -> float:
    place.drift()
    cluster.stop("fast")
    time.sleep(away)
    cluster.start()
    at = until_accepted(place)
    job = place.enqueue("touch")
    return place.until_begun([job])[job].at - at
