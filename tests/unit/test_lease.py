"""A worker's lease by its own clock, and what waits for it."""

from __future__ import annotations

import asyncio
import math
import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.waiting import eventually

from pgqueue.worker.lease import Lease, heartbeat_every
from pgqueue.worker.run.buffer import Buffer


def test_no_lease_at_first_then_from_before_the_heartbeat() -> None:
    lease = Lease()
    assert lease.until == -math.inf
    lease.hold(100.0, 15.0)
    assert lease.until == 115.0
    lease.cut(107.0)
    assert lease.until == 107.0
    lease.cut(110.0)
    assert lease.until == 107.0
    lease.hold(102.0, 15.0)
    assert lease.until == 117.0


def test_a_new_lease_waits_until_what_was_claimed_under_the_old_one_is_gone() -> None:
    lease = Lease()
    lease.hold(0.0, 15.0)
    lease.lose()
    assert lease.until == -math.inf
    lease.hold(20.0, 15.0)
    assert lease.until == -math.inf
    lease.forget()
    assert lease.until == 35.0


def test_lost_twice_before_the_worker_hears_of_it() -> None:
    lease = Lease()
    lease.hold(0.0, 15.0)
    lease.lose()
    lease.hold(20.0, 15.0)
    lease.lose()
    lease.forget()
    assert lease.until == -math.inf
    lease.hold(40.0, 15.0)
    assert lease.until == -math.inf
    lease.forget()
    assert lease.until == 55.0


class Ears:
    """What a Buffer says, in order."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.others: list[Any] = []
        self.again = asyncio.Event()
        self.has_room: Any = SimpleNamespace(set=lambda: self.heard.append("low"))

    def ring(self) -> None:
        self.heard.append("next")
        self.again.set()

    def put_off(self, quarantined: list[Any]) -> None:
        self.others += quarantined


def job(job_id: int, crashes: int = 0) -> Any:
    return {"id": job_id, "crash_count": crashes}


@pytest.fixture
async def ears() -> Ears:
    return Ears()


def waiting_with(lease: Lease, ears: Ears) -> Buffer:
    return Buffer(ears, lease=lease, loop=asyncio.get_running_loop())


async def test_what_waits_begins_when_the_lease_runs_again(ears: Ears) -> None:
    lease = Lease()
    waiting = waiting_with(lease, ears)
    waiting.add([job(1), job(2, crashes=2)], 7)
    assert waiting.next() is None
    assert waiting
    await ears.again.wait()  # by itself, though nobody said that it runs again
    assert waiting.next() is None
    lease.hold(time.monotonic(), 60.0)
    ears.again.clear()
    await ears.again.wait()
    assert waiting.next() == (job(2, crashes=2), 7)
    assert waiting.next() == (job(1), 7)
    assert ears.heard == ["next", "next", "low"]
    assert waiting.next() is None
    assert not waiting
    waiting.close()


async def test_one_quarantined_job_at_a_time_and_the_others_are_put_off(ears: Ears) -> None:
    lease = Lease()
    lease.hold(time.monotonic(), 60.0)
    waiting = waiting_with(lease, ears)
    waiting.add([job(1, crashes=2), job(2, crashes=3), job(3)], 7)
    assert waiting.next() == (job(1, crashes=2), 7)
    waiting.in_quarantine = (99, 7)
    assert waiting.next() == (job(3), 7)
    assert waiting.next() is None
    await eventually(lambda: ears.others)
    assert ears.others == [(job(2, crashes=3), 7)]
    assert waiting.passed_on == 1
    waiting.close()


async def test_what_is_taken_out_is_counted_as_passed_on_but_not_what_was_cancelled(
    ears: Ears,
) -> None:
    lease = Lease()
    waiting = waiting_with(lease, ears)
    waiting.add([job(n) for n in range(6)], 7)
    waiting.add([job(6, crashes=2)], 8)
    assert waiting.take_surplus(4) == [(job(5), 7), (job(4), 7)]
    assert waiting.remove({0, 6, 99}) == [(job(0), 7), (job(6, crashes=2), 8)]
    assert set(waiting.receipts()) == {(1, 7), (2, 7), (3, 7)}
    assert waiting.passed_on == 2
    assert len(waiting.clear()) == 3
    assert waiting.passed_on == 5
    waiting.close()


@pytest.mark.parametrize(
    ("usual", "lease", "workers", "every", "every_at_rest"),
    [
        (2.0, 15.0, 1, 2.0, 3.75),
        (1.0, 15.0, 1, 1.0, 3.75),
        (0.1, 15.0, 1, 0.1, 0.4),
        (2.0, 15.0, 500, 2.0, 3.75),
        (2.0, 15.0, 750, 3.0, 3.75),
        (0.5, 15.0, 750, 3.0, 3.0),
        (2.0, 15.0, 5_000, 3.75, 3.75),
        (1.0, 15.0, 300, 1.2, 3.75),
        (2.0, 60.0, 3_000, 12.0, 12.0),
        (5.0, 15.0, 5_000, 5.0, 5.0),  # somebody has set it so
    ],
)
def test_a_large_fleet_and_workers_at_rest_send_heartbeats_less_often(
    usual: float, lease: float, workers: int, every: float, every_at_rest: float
) -> None:
    assert heartbeat_every(usual, lease, workers) == every
    assert heartbeat_every(usual, lease, workers, at_rest=True) == every_at_rest


@given(lease=st.floats(0.3, 3600.0), share=st.floats(3.0, 100.0), workers=st.integers(0, 10**6))
def test_no_size_of_a_fleet_brings_a_heartbeat_near_its_lease(
    lease: float, share: float, workers: int
) -> None:
    usual = lease / share
    every = heartbeat_every(usual, lease, workers)
    assert usual <= every <= max(usual, lease / 4)
    assert every == usual or workers / every >= 250 - 1e-6
    assert heartbeat_every(usual, lease, workers + 1) >= every
