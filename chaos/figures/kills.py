"""kill -9: of a worker process, whose supervisor sees it end; of a host, which nobody survives."""

from __future__ import annotations

import os
import signal
import time

from chaos.figures.place import Bench, Place
from chaos.figures.row import Row, most, spread

__all__ = ["child", "whole"]

_KILLS = 20
_KILLS_A_HOST = 4  # a supervisor that sees one process after the other die takes its time
_JOBS = 10


def child(bench: Bench) -> list[Row]:
    """Kill a worker process; its jobs start in another one."""
    seconds: list[float] = []
    blamed = 0
    with bench.place("child") as place:
        for _ in range((_KILLS if not bench.quick else 4) // _KILLS_A_HOST):
            with place.host() as host:
                for _ in range(_KILLS_A_HOST):
                    host.until_ready()
                    worst, wrong = _kill_one(place)
                    seconds.append(worst)
                    blamed += wrong
    return [
        *spread(
            "worker killed: its jobs start elsewhere after", seconds, "s", middle=2.0, worst=5.0
        ),
        Row(
            figure="worker killed: other workers' jobs that ran twice",
            value=blamed,
            unit="jobs",
            target=0,
        ),
    ]


def _kill_one(place: Place) -> tuple[float, int]:
    """Return how long the last of its jobs took, and how many of others started again."""
    gate, jobs = place.held(_JOBS)
    first = place.until_begun(jobs)
    victim = first[jobs[0]].pid
    hit = [job for job in jobs if first[job].pid == victim]
    place.drift()
    at = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    again = place.until_begun(hit, since=at)
    place.open(gate)
    place.until_finished(jobs)
    return max(e.at for e in again.values()) - at, place.needless(set(jobs) - set(hit))


def whole(bench: Bench) -> list[Row]:
    """Kill a supervisor with its workers; another supervisor's workers take over."""
    seconds: list[float] = []
    with bench.place("whole") as place, place.host() as survivor:
        for _ in range(5 if not bench.quick else 2):
            with place.host() as victim:
                survivor.until_ready()
                victim.until_ready()
                gate, hit, jobs = place.held_by(victim, _JOBS)
                place.drift()
                at = victim.kill()
                again = place.until_begun(hit, since=at)
                seconds.append(max(e.at for e in again.values()) - at)
                place.open(gate)
                place.until_finished(jobs)
    return [most("worker and supervisor killed: its jobs start elsewhere after", seconds, "s", 5.0)]
