"""Wake-ups of fleets of any size, in simulated time: how late jobs begin, and what they cost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from tests.sim.clock import simulated
from tests.sim.fleet import Fleet, Server

SIZES = [1, 2, 4, 30, 300, pytest.param(3000, marks=pytest.mark.long)]


def waits(server: Server, since: int = 0) -> list[float]:
    """Seconds from commit to begin, in ascending order; every job has begun."""
    assert not server.ready
    jobs = server.jobs[since:]
    assert all(job.begun is not None for job in jobs)
    return sorted((job.begun or 0.0) - job.enqueued for job in jobs)


async def at_rest(fleet: Fleet) -> None:
    """Past the start: everybody has its seat, and nobody looks any more."""
    await asyncio.sleep(15.0)
    assert [w.claimer.seating.seat.rank for w in fleet.watch] == list(
        range(min(3, len(fleet.workers)))
    )


@pytest.mark.parametrize("size", SIZES)
def test_a_single_job_costs_the_same_in_any_fleet(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        server = Server(random.Random(1))
        fleet = Fleet(server, size)
        await at_rest(fleet)
        assert all(worker.notified for worker in fleet.workers), "else each looks by itself"
        before, jobs = server.counts.copy(), 50
        began = server.loop.time()
        for _ in range(jobs):
            server.enqueue()
            await asyncio.sleep(0.5)
        spent = server.counts - before
        span = server.loop.time() - began
        await fleet.end()
        assert waits(server)[-1] < 0.003
        polls = spent["claim"] - 3 * jobs
        assert polls < span * 5
        assert spent["heard"] <= jobs * 3 + span
        assert spent["listen"] == spent["call"] == spent["lower"] == 0

    simulated(play(), monkeypatch)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_jobs_at_random_moments_begin_soon(
    size: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gaps from 0.1 to 60 ms: all states are passed through, whatever the moment."""

    async def play() -> None:
        rng = random.Random(seed)
        server = Server(rng)
        fleet = Fleet(server, size)
        await at_rest(fleet)
        before = server.counts.copy()
        for _ in range(3_000 if size < 300 else 1_000):
            late = rng.random() * 0.3 if rng.random() < 0.1 else 0.0
            server.enqueue(commits_after=late)
            await asyncio.sleep(0.0001 * 600 ** rng.random())
        await asyncio.sleep(2.0)
        spent = server.counts - before
        await fleet.end()
        late = waits(server)
        assert late[-1] < 0.1, late[-10:]
        assert late[len(late) // 2] < 0.005
        assert spent["claim"] < 5 * len(late) + 100, spent

    simulated(play(), monkeypatch)


@pytest.mark.parametrize("size", SIZES)
def test_a_stream_is_looked_after_by_one_without_notifications(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        server = Server(random.Random(3))
        fleet = Fleet(server, size)
        await at_rest(fleet)
        before, began = server.counts.copy(), server.loop.time()
        for _ in range(10_000):
            server.enqueue()
            await asyncio.sleep(0.0005)
        spent, span = server.counts - before, server.loop.time() - began
        await asyncio.sleep(1.0)
        await fleet.end()
        late = waits(server)
        assert late[len(late) // 2] < 0.003
        assert late[-1] < 0.05
        assert spent["notify"] < 60 * span
        assert spent["claim"] < 1_000 * span
        assert spent["busy"] < 200

    simulated(play(), monkeypatch)


@pytest.mark.parametrize("size", [4, 30, 300])
def test_notifications_that_are_lost_cost_little(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        rng = random.Random(4)
        server = Server(rng)
        fleet = Fleet(server, size)
        await at_rest(fleet)
        server.loses = 0.3
        for _ in range(500):
            server.enqueue()
            await asyncio.sleep(0.0001 * 6000 ** rng.random())
        await asyncio.sleep(6.0)
        await fleet.end()
        late = waits(server)
        assert late[int(len(late) * 0.9)] < 0.03
        assert late[-1] <= 5.0

    simulated(play(), monkeypatch)


@pytest.mark.parametrize("size", [pytest.param(4, marks=pytest.mark.long), 30, 300])
@pytest.mark.parametrize("gap", [0.0005, 0.02])
def test_a_killed_watcher_delays_nothing_by_a_second(
    size: int, gap: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        server = Server(random.Random(5))
        fleet = Fleet(server, size + 5)
        await at_rest(fleet)
        for _ in range(5):
            for _ in range(int(6.0 / gap)):
                server.enqueue()
                await asyncio.sleep(gap)
            first = fleet.watch[0]
            while first.runner.running or first.claimer.looks.store.turn.locked():  # noqa: ASYNC110
                await asyncio.sleep(0.0001)
            first.kill()
        await asyncio.sleep(6.0)
        await fleet.end()
        assert waits(server)[-1] < 1.0

    simulated(play(), monkeypatch)


@pytest.mark.parametrize(("size", "slots"), [(200, 100), (30, 100), (200, 1), (200, 10)])
def test_a_burst_reaches_as_many_as_it_needs(
    size: int, slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        server = Server(random.Random(6))
        fleet = Fleet(server, size, concurrency=slots)
        await at_rest(fleet)
        server.enqueue(0.010, times=1_000)
        await asyncio.sleep(10.0)
        await fleet.end()
        ran = Counter(w.runner.finished > 0 for w in fleet.workers)
        # Claims follow each other; with one slot each, every job is one.
        most = 0.1 if slots > 10 else 0.2 if slots > 1 else 1.0
        assert waits(server)[-1] < most, (waits(server)[-1], ran)

    simulated(play(), monkeypatch)


@pytest.mark.parametrize("size", [4, 30])
def test_long_jobs_go_to_all(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody claims ahead while others are idle."""

    async def play() -> None:
        server = Server(random.Random(7))
        fleet = Fleet(server, size)
        await at_rest(fleet)
        for _ in range(2_000):
            server.enqueue()
            await asyncio.sleep(0.001)
        server.enqueue(5.0, times=300)
        await asyncio.sleep(20.0)
        await fleet.end()
        assert waits(server)[-1] < 0.3

    simulated(play(), monkeypatch)
