"""The corpus of bad ends, in a worker of its own: each is over in time, no neighbour is touched."""

from __future__ import annotations

import time

from chaos.figures.place import Bench, Place
from chaos.figures.row import Row, most
from tests.corpus.poison import CASES, Case

__all__ = ["poison"]

_ENCODINGS = ("UTF8", "LATIN1", "SQL_ASCII")
_BATCH = 40
_LEAST = 300


def poison(bench: Bench) -> list[Row]:
    """Every case in UTF8, and every third in databases of other encodings."""
    step = max(1, len(CASES) // _LEAST)
    spans: list[float] = []
    wrong: list[str] = []
    for encoding in _ENCODINGS[: 1 if bench.quick else 3]:
        every = step if bench.quick or encoding != "UTF8" else 1
        _run(bench, encoding, list(range(0, len(CASES), every)), spans, wrong)
    worst = most("poison completion: terminal after", spans, "s", 2.0)
    return [
        worst,
        Row(
            figure="poison completion: not as they should be, or neighbours touched",
            value=len(wrong),
            unit="values",
            target=0,
            note="; ".join(wrong[:3]),
        ),
    ]


def _run(
    bench: Bench, encoding: str, numbers: list[int], spans: list[float], wrong: list[str]
) -> None:
    with bench.place("poison", encoding=encoding) as place, place.host(processes=1) as host:
        host.until_ready()
        for at in range(0, len(numbers), _BATCH):
            _batch(place, numbers[at : at + _BATCH], spans, wrong)


def _batch(place: Place, numbers: list[int], spans: list[float], wrong: list[str]) -> None:
    """Cases with a neighbour each, all at the same time."""
    cases = {
        job: CASES[n]
        for n in numbers
        for task in ("poison_thread" if CASES[n].thread else "poison",)
        for job in place.enqueue_many(task, [{"n": n}], attempts=1)
    }
    beside = place.enqueue_many("neighbour", [{}] * len(numbers))
    place.until_finished([*cases, *beside])
    rows = place.rows(
        "select id, state, attempt, extract(epoch from finished_at), errors is null"
        " from pgqueue.jobs where id = any (%s)",
        [*cases, *beside],
    )
    acts, acted = _acts(place, {*cases, *beside})
    # Of the time until its row, what other handlers' own code took is not the queue's.
    busy = sorted((acts[job], acted[job]) for job in cases)
    offset = time.time() - time.monotonic()
    for job, state, attempt, at, silent in rows:
        spans.append(_span(acted[job], float(at) - offset, busy))
        case = cases.get(job, _NEIGHBOUR)
        if state != case.ends or attempt != 1 or (state == "dead" and silent):
            wrong.append(f"{case.name}: {state}, attempt {attempt}")


_NEIGHBOUR = Case("a neighbour", lambda: None, ends="completed")


def _acts(place: Place, jobs: set[int]) -> tuple[dict[int, float], dict[int, float]]:
    events = [event for event in place.trace.events() if event.job in jobs]
    return (
        {event.job: event.at for event in events if event.what == "act"},
        {event.job: event.at for event in events if event.what == "acted"},
    )


def _span(ended: float, written: float, busy: list[tuple[float, float]]) -> float:
    rest, at = 0.0, ended
    for began, end in busy:
        rest += max(0.0, min(began, written) - at)
        at = max(at, end)
    return rest + max(0.0, written - at)
