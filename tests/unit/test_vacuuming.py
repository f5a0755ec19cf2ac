"""When the job table is vacuumed, and how soon again: without a server."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.harness.fakes import FakeStore

from pgqueue.errors import Unreachable
from pgqueue.worker.fleet.vacuuming import Vacuuming
from pgqueue.worker.vacuum_plan import Seen, VacuumTimings, is_needed, wait_after

TIMINGS = VacuumTimings()
NEEDED = {"dead": 200_000, "live": 0, "may": True, "due_in": -1.0}


@pytest.mark.parametrize(
    ("dead", "live", "needed"),
    [(99_999, 0, False), (100_000, 0, True), (100_000, 500_001, False), (2_000_000, 10**7, True)],
)  # fmt: skip
def test_it_is_needed_by_dead_rows_and_by_their_share(dead: int, live: int, needed: bool) -> None:
    assert is_needed(TIMINGS, Seen(dead, live, may=True, due_in=0.0)) is needed


@pytest.mark.parametrize(
    ("after", "took", "last", "wait", "kept"),
    [
        (0, 1.5, 0.0, 3.0, False),
        (50_000, 0.1, 60.0, 0.2, False),
        (50_001, 0.1, 0.0, 30.0, True),
        (250_000, 0.1, 30.0, 60.0, True),  # more died meanwhile
        (100_000, 10.0, 30.0, 200.0, True),
        (100_000, 1.0, 500.0, 600.0, True),
    ],
)
def test_what_is_kept_is_tried_later_each_time(
    after: int, took: float, last: float, wait: float, kept: bool
) -> None:
    assert wait_after(TIMINGS, 100_000, after, took, last) == (wait, kept)


def store_of(**answers: list[Any]) -> FakeStore:
    return FakeStore(**answers)


def vacuuming_of(store: Any, upkeep: Any, timings: VacuumTimings = TIMINGS) -> Vacuuming:
    return Vacuuming(store, upkeep, timings)


@pytest.mark.parametrize(
    ("seen", "answers", "error", "sent", "vacuums"),
    [
        ({"dead": 10}, {}, None, [], 0),
        ({"may": False}, {}, None, [], 0),
        ({"due_in": None}, {}, None, [], 0),  # a schema that does not know of it yet
        ({"due_in": 5.0}, {}, None, [], 0),
        ({}, {"take_duty": [False]}, None, ["take_duty"], 0),
        ({}, {}, None, ["take_duty", "measure_job_table", "end_duty"], 1),
        ({}, {}, Unreachable("away"), ["take_duty"], 1),
    ],
)
async def test_one_worker_vacuums_where_that_is_needed(
    seen: dict[str, Any], answers: Any, error: Exception | None, sent: list[str], vacuums: int
) -> None:
    row = NEEDED | seen
    store = store_of(measure_job_table=[row, NEEDED | {"dead": 0}], **answers)
    upkeep = store_of(vacuum_jobs=[error])
    vacuuming = vacuuming_of(store, upkeep)
    assert vacuuming.begin() == math.inf
    assert await vacuuming.step(called=True) == math.inf
    assert (store.sent, len(upkeep.sent)) == (["measure_job_table", *sent], vacuums)


async def test_a_vacuum_in_vain_is_not_repeated_at_once() -> None:
    store, upkeep = store_of(measure_job_table=[NEEDED]), store_of()
    vacuuming = vacuuming_of(store, upkeep)
    await vacuuming.step(called=True)
    await vacuuming.step(called=True)
    assert (len(upkeep.sent), store.args["end_duty"]) == (1, ("vacuum", 30.0))


async def test_it_says_so_when_the_second_one_is_in_vain_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    soon = VacuumTimings(rest=0.0, kept_after=0.0, kept_rest=1e-9)
    vacuuming = vacuuming_of(store_of(measure_job_table=[NEEDED]), store_of(), soon)
    await vacuuming.step(called=True)
    assert not caplog.messages
    await vacuuming.step(called=True)
    (said,) = caplog.messages
    assert said.startswith("200000 dead rows cannot be removed")
