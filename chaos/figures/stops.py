"""SIGTERM: how soon an idle worker is gone, and how soon others have what it was at."""

from __future__ import annotations

import signal
import time

from chaos.figures.host import Host
from chaos.figures.place import Bench, Place
from chaos.figures.row import Row, most
from tests.harness.waiting import wait_until

__all__ = ["grace", "stops"]

_JOBS = 10
_GRACE = 20.0
_ORPHANS = (
    "select count(*) from pgqueue.job where worker_id is not null"
    " and worker_id not in (select id from pgqueue.worker)"
)


def stops(bench: Bench) -> list[Row]:
    """Idle ones, and ones that are told twice, which skips the grace."""
    idle: list[float] = []
    again: list[float] = []
    burnt = orphans = 0
    rounds = 5 if not bench.quick else 1
    with bench.place("stops") as place:
        for processes in (1, 2) * rounds:
            with place.host(processes=processes) as host:
                host.until_ready()
                wait_until(lambda host=host: _is_idle(place, host), what="the worker is idle")
                at = time.monotonic()
                host.send(signal.SIGTERM)
                host.wait(60.0)
                idle.append(1000 * (time.monotonic() - at))
                orphans += _left(place, host)
        with place.host() as survivor:
            for _ in range(rounds):
                with place.host() as host:
                    survivor.until_ready()
                    host.until_ready()
                    gate, hit, jobs = place.held_by(host, _JOBS)
                    host.send(signal.SIGTERM)
                    wait_until(
                        lambda host=host: "SIGTERM: stopping when" in host.log(),
                        what="the first signal is heard",
                    )
                    at = time.monotonic()
                    host.send(signal.SIGTERM)
                    seconds, wrong = _started_again(place, hit, at)
                    again.append(seconds)
                    burnt += wrong
                    place.open(gate)
                    place.until_finished(jobs)
                    host.wait(60.0)
                    orphans += _left(place, host)
    return [
        most("SIGTERM, idle: exit after", idle, "ms", 300.0),
        most("SIGTERM twice: interrupted jobs start elsewhere after", again, "s", 1.0),
        Row(figure="SIGTERM twice: attempts used up", value=burnt, unit="jobs", target=0),
        Row(
            figure="SIGTERM: processes, rows and jobs left behind",
            value=orphans,
            unit="processes",
            target=0,
        ),
    ]


def grace(bench: Bench) -> list[Row]:
    """Told once: jobs are interrupted when the default grace is over."""
    figure = "SIGTERM, the grace over: interrupted jobs start elsewhere after"
    if bench.quick:
        return [
            Row(
                figure=figure, value=None, unit="s", target=1.0, note="not in the quick form",
                skipped=True,
            )
        ]  # fmt: skip
    with bench.place("grace") as place, place.host() as survivor, place.host() as host:
        survivor.until_ready()
        host.until_ready()
        gate, hit, jobs = place.held_by(host, _JOBS)
        at = time.monotonic()
        host.send(signal.SIGTERM)
        seconds, burnt = _started_again(place, hit, at)
        place.open(gate)
        place.until_finished(jobs)
        host.wait(60.0)
        orphans = _left(place, host)
    return [
        Row(figure=figure, value=seconds - _GRACE, unit="s", target=1.0),
        Row(
            figure="SIGTERM, the grace over: attempts used up, or left behind",
            value=burnt + orphans,
            unit="jobs",
            target=0,
        ),
    ]


def _started_again(place: Place, hit: list[int], at: float) -> tuple[float, int]:
    again = place.until_begun(hit, since=at, timeout_s=60.0)
    burnt = sum(event.attempt != 1 for event in again.values())
    return max(event.at for event in again.values()) - at, burnt


def _is_idle(place: Place, host: Host) -> bool:
    """It listens, so that a notification is all that would move it."""
    query = (
        "select count(*) from pg_stat_activity where datname = current_database()"
        " and application_name = 'pgqueue claim' and state = 'idle'"
    )
    return place.rows(query)[0][0] >= host.processes


def _left(place: Place, host: Host) -> int:
    rows = place.rows("select pid from pgqueue.worker where pid = any (%s)", list(host.seen()))
    return len(host.pids()) + len(rows) + place.rows(_ORPHANS)[0][0]
