"""Who counts the depth of queues when, and where a count begins; how long a call waits for room."""

from __future__ import annotations

import pytest

from pgqueue import ConfigError, QueueFull
from pgqueue.fullness import apatient, check_wait, patient, pauses
from pgqueue.worker.fleet.depths import Floors, wait_after
from pgqueue.worker.timings import DepthTimings

TIMINGS = DepthTimings()
FULL = QueueFull("mail", 5, 5)


@pytest.mark.parametrize(
    ("counted", "wanted", "took", "wait"),
    [
        (False, False, 0.001, 60.0),  # no queue has a max_depth
        (False, True, 0.001, 5.0),  # another worker counts
        (True, True, 0.001, 1.0),
        (True, True, 0.5, 10.0),  # a twentieth of the time, at most
    ],
)
def test_who_counted_goes_on_to(counted: bool, wanted: bool, took: float, wait: float) -> None:
    assert wait_after(TIMINGS, took, counted=counted, wanted=wanted) == wait


def test_a_count_begins_where_the_last_one_found_the_first_job() -> None:
    floors = Floors(forget_every=60.0)
    assert floors.at(100.0) == ([], [])
    floors.learn("a", [None] * 5 + [7] + [None] * 4)
    floors.learn("a", [3] + [None] * 9)
    floors.learn("b", [None] * 10)
    assert floors.at(101.0) == (["a", "b"], [3, 0, 0, 0, 0, 7, 0, 0, 0, 0] + [0] * 10)
    assert floors.at(160.0) == ([], []), "what was released below is counted again"


def test_pauses_grow_and_end_when_the_time_is_over() -> None:
    now = [0.0]
    waited: list[float] = []
    for pause in pauses(10.0, clock=lambda: now[0]):
        waited.append(pause)
        now[0] += pause
    assert now[0] == pytest.approx(10.0)
    assert waited[0] <= 0.05
    assert 0.5 <= max(waited) <= 1.0
    assert len(waited) < 40


def test_a_call_is_tried_until_there_is_room() -> None:
    tries = [FULL, FULL]

    def call() -> str:
        if tries:
            raise tries.pop()
        return "done"

    assert patient(call, 60, None) == "done"


async def test_in_a_loop_as_well() -> None:
    tries = [FULL, FULL]

    async def call() -> str:
        if tries:
            raise tries.pop()
        return "done"

    assert await apatient(call, 60, None) == "done"


@pytest.mark.parametrize(("wait", "connection"), [(None, None), (0, None), (60, object())])
def test_nobody_waits_who_is_not_told_to_nor_in_a_transaction_of_the_callers(
    wait: float | None, connection: object
) -> None:
    tries: list[int] = []

    def call() -> None:
        tries.append(1)
        raise FULL

    with pytest.raises(QueueFull):
        patient(call, wait, connection)
    assert tries == [1]


def test_a_wait_is_seconds() -> None:
    assert check_wait(None) is None
    assert check_wait(1) == 1.0
    with pytest.raises(ConfigError, match="wait must be seconds or a timedelta, got '30s'"):
        check_wait("30s")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FULL, 'queue "mail" is full: 5 jobs are ready, and its max_depth is 5'),
        (QueueFull("mail", None, None), 'queue "mail" was full a moment ago'),
        (
            QueueFull("mail", 3, 3, flow="crm", key="acme"),
            'flow "crm" has no room for this call: 3 jobs of key "acme" wait, and max_waiting is 3',
        ),
        (
            QueueFull("mail", 3, 3, flow="crm", key=""),
            'flow "crm" has no room for this call: 3 jobs wait, and max_waiting is 3',
        ),
    ],
)
def test_what_it_says(error: QueueFull, said: str) -> None:
    assert str(error) == f"{said}; nothing was enqueued"
