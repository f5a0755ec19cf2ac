"""A million jobs of which half fail: what the processes hold does not grow."""

from __future__ import annotations

import threading
import time

import pgqueue
from chaos.figures.place import Bench, Place
from chaos.figures.row import Row

__all__ = ["flat"]

_JOBS = 1_000_000
_QUICK = 40_000
_CHUNK = 5_000
_BACKLOG = 20_000
_WARM_UP = 0.2
_GROWTH_MB = 5.0


def flat(bench: Bench) -> list[Row]:
    """The producer keeps a small backlog; memory is looked at once a second."""
    total = _JOBS if not bench.quick else _QUICK
    failures: list[BaseException] = []
    done = [0]
    samples: list[tuple[float, dict[int, float]]] = []
    with bench.place("flat") as place, place.host() as host:
        host.until_ready()

        def produce() -> None:
            try:
                _produce(place, total, done)
            except BaseException as exc:
                failures.append(exc)

        producer = threading.Thread(target=produce, name="figures-flat")
        began = time.monotonic()
        producer.start()
        while producer.is_alive():
            producer.join(1.0)
            samples.append((done[0] / total, host.resident_mb()))
        if failures:
            raise failures[0]
        took = time.monotonic() - began
        samples.append((1.0, host.resident_mb()))
        dead, completed = place.rows(
            "select (select count(*) from pgqueue.dead), (select count(*) from pgqueue.history)"
        )[0]
    return [*_rows(total, samples, took), _told(total, dead, completed)]


def _told(total: int, dead: int, completed: int) -> Row:
    return Row(
        figure="... jobs that are not there as they ended",
        value=abs(total // 2 - dead) + abs(total - total // 2 - completed),
        unit="jobs",
        target=0,
    )


def _rows(total: int, samples: list[tuple[float, dict[int, float]]], took: float) -> list[Row]:
    warm = next(held for part, held in samples if part >= _WARM_UP)
    end = samples[-1][1]
    growth = {pid: end[pid] - mb for pid, mb in warm.items() if pid in end}
    worst = max(growth, key=lambda pid: growth[pid])
    slope = _slope([(part, held[worst]) for part, held in samples if part >= _WARM_UP])
    return [
        Row(
            figure=f"{total:,} jobs, half of them fail: memory grown by after the first fifth",
            value=growth[worst],
            unit="MB",
            target=_GROWTH_MB,
            note=f"{warm[worst]:.0f} to {end[worst]:.0f} MB, the worst process; {total / took:,.0f}"
            f" jobs/s; slope {slope * 100_000 / total:+.2f} MB for 100,000 jobs",
        )
    ]


def _slope(points: list[tuple[float, float]]) -> float:
    """Least squares: MB for all of the jobs."""
    if len(points) < 2:
        return 0.0
    middle = sum(x for x, _ in points) / len(points)
    level = sum(y for _, y in points) / len(points)
    spread = sum((x - middle) ** 2 for x, _ in points)
    return sum((x - middle) * (y - level) for x, y in points) / spread if spread else 0.0


def _produce(place: Place, total: int, done: list[int]) -> None:
    """Enqueue in chunks while few wait, and wait for the last; ``done``: how many are over."""
    with pgqueue.Client(place.dsn, pool_size=1) as client:
        pair = [
            client.job("fine", max_attempts=1),
            client.job("broken", {"why": "on purpose"}, max_attempts=1),
        ]
        chunk = pair * (_CHUNK // 2)
        given = 0
        while done[0] < total:
            live = place.rows("select count(*) from pgqueue.job")[0][0]
            done[0] = given - live
            if given < total and live < _BACKLOG:
                client.enqueue_many(chunk)
                given += len(chunk)
            else:
                time.sleep(0.05)
