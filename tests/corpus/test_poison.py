"""F37: whatever a task does at its end, its job ends in time, and no other is touched."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import pytest

from pgqueue import App
from tests.corpus.poison import CASES
from tests.worker.support import eyes_on, working

pytestmark = pytest.mark.one_pg

BATCH = 40
MOST_SECONDS = 60.0
"""From the end of the task to the row. The promise is 2 s, and `chaos.figures` measures it."""


def test_the_corpus_is_large() -> None:
    assert len(CASES) == len({case.name for case in CASES})
    assert len(CASES) > 800


@pytest.mark.past_bug(98)
@pytest.mark.fault("F37")
@pytest.mark.filterwarnings("ignore")
async def test_every_poison_ends_in_time(encoded_dsn: str, record_property: Any) -> None:
    """Batch by batch, a healthy job beside each: the worst span is in the report (-s)."""
    app = App(encoded_dsn)
    ended: dict[int, float] = {}
    held: list[tuple[float, float]] = []
    ran: Counter[int] = Counter()

    def act(n: int) -> Any:
        began = time.time()
        try:
            return CASES[n].act()
        finally:
            ended[n] = time.time()
            held.append((began, ended[n]))

    @app.task(max_attempts=1)
    async def on_the_loop(n: int) -> Any:
        await asyncio.sleep(0)
        return act(n)

    @app.task(max_attempts=1)
    def in_a_thread(n: int) -> Any:
        return act(n)

    @app.task(max_attempts=1)
    async def neighbour(n: int) -> None:
        ran[n] += 1
        await asyncio.sleep(0.001)
        ended[-1 - n] = time.time()

    spans: list[tuple[float, str]] = []
    wrong: list[str] = []
    async with eyes_on(encoded_dsn) as eyes, working(app, concurrency=10, poll_interval=5.0):
        for start in range(0, len(CASES), BATCH):
            numbers = range(start, min(start + BATCH, len(CASES)))
            jobs = [
                job
                for n in numbers
                for job in (
                    (in_a_thread if CASES[n].thread else on_the_loop).job(n),
                    neighbour.job(n),
                )
            ]
            ids = [one.id for one in await app.aenqueue_many(jobs)]
            stuck = await unfinished(eyes, ids)
            rows = await eyes.sql(
                "select id, state, attempt, extract(epoch from finished_at)::float8 as at,"
                " errors::text as errors, octet_length(errors::text) as size"
                " from pgqueue.jobs where id = any ($1)", ids,
            )  # fmt: skip
            found = {row["id"]: row for row in rows}
            for job_id, n in zip(ids[::2], numbers, strict=True):
                case, row = CASES[n], found[job_id]
                if job_id in stuck or row["state"] != case.ends:
                    wrong.append(f"{case.name}: {row['state']}, not {case.ends}")
                    continue
                spans.append((span(ended[n], row["at"], held), case.name))
                if row["attempt"] != 1 or (row["size"] or 0) > 60_000:
                    wrong.append(f"{case.name}: attempt {row['attempt']}, {row['size']} bytes")
                if case.ends == "dead" and not row["errors"]:
                    wrong.append(f"{case.name}: no error is kept")
            for job_id, n in zip(ids[1::2], numbers, strict=True):
                row = found[job_id]
                if (row["state"], row["attempt"], ran[n]) != ("completed", 1, 1):
                    wrong.append(f"the neighbour of {CASES[n].name}: {dict(row)}, {ran[n]} runs")
                else:
                    name = f"the neighbour of {CASES[n].name}"
                    spans.append((span(ended[-1 - n], row["at"], held), name))
            held.clear()
    await app.aclose()
    spans.sort(reverse=True)
    record_property("worst", spans[0])
    print(f"\n{len(CASES)} poisons; worst spans:", *spans[:5], sep="\n  ")
    assert not wrong, "\n".join(wrong)
    assert spans[0][0] < MOST_SECONDS, spans[:10]


def span(ended: float, written: float, held: list[tuple[float, float]]) -> float:
    """What passed in between, without the time in which other tasks' own code held the process."""
    rest, at = 0.0, ended
    for began, end in sorted(held):
        rest += max(0.0, min(began, written) - at)
        at = max(at, end)
    return rest + max(0.0, written - at)


async def unfinished(eyes: Any, ids: list[int]) -> set[int]:
    """Wait until these are finished; return those that are not after a long while."""
    deadline = time.monotonic() + MOST_SECONDS
    while True:
        rows = await eyes.sql("select id from pgqueue.job where id = any ($1)", ids)
        if not rows or time.monotonic() > deadline:
            return {row["id"] for row in rows}
        await asyncio.sleep(0.02)
