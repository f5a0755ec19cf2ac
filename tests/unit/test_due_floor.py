"""Before which due time no job is looked for."""

from __future__ import annotations

import sys
import threading
from datetime import UTC, datetime, timedelta

from pgqueue.worker.claim.due_floor import DueFloor

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_first_look_begins_at_the_start() -> None:
    floor = DueFloor()
    assert floor.look_from(5.0) == floor.moment < NOON - timedelta(days=365 * 2000)


def test_what_is_clear_is_left_out_but_for_a_minute() -> None:
    floor = DueFloor()
    floor.look_from(5.0)
    floor.clear_until(NOON)
    assert floor.look_from(6.0) == floor.moment == NOON - MINUTE
    floor.clear_until(NOON - MINUTE)
    assert floor.moment == NOON - MINUTE, "it does not fall"
    floor.clear_until(NOON + MINUTE)
    assert floor.moment == NOON


def test_all_is_looked_at_again_after_half_a_minute() -> None:
    floor = DueFloor()
    start = floor.look_from(5.0)
    floor.clear_until(NOON)
    assert floor.rests(15.0) == 20.0
    assert floor.look_from(34.9) > start
    assert floor.look_from(35.0) == start
    assert floor.rests(35.0) == 30.0
    floor.clear_until(NOON)
    assert floor.look_from(64.9) > start
    assert floor.look_from(65.0) == start


def test_reading_changes_nothing_however_late_it_is() -> None:
    """The heartbeat reads. What it did not ask for, the next look must still do."""
    floor = DueFloor()
    start = floor.look_from(5.0)
    floor.clear_until(NOON)
    assert floor.moment == floor.moment == NOON - MINUTE
    assert floor.look_from(500.0) == start


def test_a_thread_that_reads_takes_no_look_from_the_start_away() -> None:
    """When reading set it back, a look under way undid that, at times: 689 of 3,217 times."""
    floor = DueFloor()
    start = floor.look_from(0.0)
    over = threading.Event()
    seen: set[datetime] = set()

    def read() -> None:
        while not over.is_set():
            seen.add(floor.moment)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        for turn in range(1, 5_000):
            assert floor.look_from(30.0 * turn) == start
            floor.clear_until(NOON)
            assert floor.look_from(30.0 * turn + 15.0) == NOON - MINUTE
    finally:
        over.set()
        reader.join()
        sys.setswitchinterval(interval)
    assert seen <= {start, NOON - MINUTE}
