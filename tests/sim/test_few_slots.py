"""Fleets of workers with few slots, in simulated time: every claim that finds a job fills them."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.sim.clock import simulated
from tests.sim.fleet import Fleet, Server
from tests.sim.test_fleet import at_rest, waits


async def drained(server: Server) -> None:
    while server.ready or any(job.begun is None for job in server.jobs):  # noqa: ASYNC110
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("size", [4, 30])
@pytest.mark.parametrize("pause", [0.3, 3.0])
def test_slow_jobs_after_fast_ones_go_to_all(
    size: int, slots: int, pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody claims slow jobs ahead at the rate of the fast ones before them."""

    async def play() -> None:
        server = Server(random.Random(1))
        fleet = Fleet(server, size, concurrency=slots)
        await at_rest(fleet)
        server.enqueue(0.00002, times=30_000)
        await drained(server)
        await asyncio.sleep(pause)
        for worker in fleet.workers:
            worker.runner.most_held = 0
        since, jobs, seconds = len(server.jobs), 1_000, 0.010
        server.enqueue(seconds, times=jobs)
        await drained(server)
        await asyncio.sleep(0.1)
        held = max(worker.runner.most_held for worker in fleet.workers)
        await fleet.end()
        ideal = jobs * seconds / (size * slots)
        last = waits(server, since)[-1]
        assert held <= slots + 0.11 * slots / seconds, "what it begins within a tenth of a second"
        # Claims follow each other, and the last job of somebody waits for those before it.
        assert last < 1.2 * ideal + 0.12, (last, ideal)

    simulated(play(), monkeypatch)


@pytest.mark.parametrize("slots", [1, 4])
def test_fast_jobs_are_soon_claimed_ahead(slots: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as many each time: a drain is not made of claims of single jobs."""

    async def play() -> None:
        server = Server(random.Random(1))
        fleet = Fleet(server, 4, concurrency=slots)
        await at_rest(fleet)
        for _ in range(2):
            before = server.counts.copy()
            server.enqueue(0.00002, times=30_000)
            await drained(server)
            spent = server.counts - before
            assert spent["found"] < 140, spent
            await asyncio.sleep(3.0)
        await fleet.end()

    simulated(play(), monkeypatch)


@pytest.mark.parametrize("size", [1, 4, 30])
def test_a_drain_by_many_slots_takes_few_claims(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first drain as well as one after a rest: a round of a hundred jobs tells the rate."""

    async def play() -> None:
        server = Server(random.Random(1))
        fleet = Fleet(server, size, concurrency=100)
        await at_rest(fleet)
        for _ in range(2):
            before = server.counts.copy()
            server.enqueue(0.010, times=30_000)
            await drained(server)
            spent = server.counts - before
            assert spent["found"] < 66, spent
            await asyncio.sleep(3.0)
        await fleet.end()

    simulated(play(), monkeypatch)


@pytest.mark.parametrize(
    ("rate", "seconds", "claims", "calls"),
    [
        (50, 0.0002, 6.0, 0.0005),
        (300, 0.0002, 4.2, 0.005),
        (1000, 0.0002, 2.8, 0.02),
        (50, 0.010, 8.5, 0.11),
        (300, 0.010, 8.5, 0.11),
    ],
)
@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("size", [pytest.param(4, marks=pytest.mark.long), 30])
def test_single_jobs_cost_few_claims_and_calls(
    size: int, slots: int, rate: int, seconds: float, claims: float, calls: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Three watchers hear of each. A slot that ends a job at once calls nobody beside them."""

    async def play() -> None:
        rng = random.Random(1)
        server = Server(rng)
        fleet = Fleet(server, size, concurrency=slots)
        await at_rest(fleet)
        before, jobs = server.counts.copy(), 2_000
        for _ in range(jobs):
            server.enqueue(seconds)
            await asyncio.sleep(rng.expovariate(rate))
        spent = server.counts - before
        await asyncio.sleep(5.0)
        await fleet.end()
        late = waits(server)
        assert spent["claim"] < claims * jobs, spent
        assert spent["call"] < calls * jobs + 1, spent
        assert late[jobs // 2] < 0.02

    simulated(play(), monkeypatch)


@pytest.mark.parametrize("size", [10, 15])
def test_long_jobs_fill_every_single_slot_at_once(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No slot comes free, so no claim says that there is more: the call does not wait for one."""

    async def play() -> None:
        server = Server(random.Random(1))
        fleet = Fleet(server, size, concurrency=1)
        await at_rest(fleet)
        for pause in (3.0, 0.02, 0.02):
            server.enqueue(0.0002)
            await asyncio.sleep(pause)
        server.enqueue(5.0, times=size)
        await asyncio.sleep(7.0)
        await fleet.end()
        assert waits(server)[-1] < 0.1

    simulated(play(), monkeypatch)
