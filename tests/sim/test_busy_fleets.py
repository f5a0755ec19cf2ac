"""Fleets whose slots fill up, in simulated time: who is told, who runs what, and what it costs."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.sim.clock import simulated
from tests.sim.fleet import Fleet, Server, Worker
from tests.sim.test_fleet import at_rest, waits


class Idle:
    """The longest time during which a job was ready while one and the same worker had a slot."""

    def __init__(self, server: Server, *fleets: Fleet) -> None:
        self.server, self.fleets = server, fleets
        self.longest = 0.0
        self.task = asyncio.create_task(self._look())

    async def _look(self) -> None:
        since: dict[Worker, float] = {}
        while True:
            now = self.server.loop.time()
            for fleet in self.fleets:
                for worker in fleet.workers:
                    if worker.dead_at is None and worker.runner.free > 0:
                        since.setdefault(worker, now)
                    else:
                        since.pop(worker, None)
            for job in self.server.ready:
                able = [t for worker, t in since.items() if job.task in worker.fleet.tasks]
                if able:
                    self.longest = max(self.longest, now - max(min(able), job.enqueued))
            await asyncio.sleep(0.01)

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


@pytest.mark.parametrize(
    ("size", "slots", "load", "seed"),
    [(1, 10, 0.8, 1), (2, 1, 0.5, 3), (5, 1, 0.8, 2), (5, 10, 0.9, 2)],
)
def test_no_job_waits_for_a_heartbeat_beside_a_free_slot(
    size: int, slots: int, load: float, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        rng = random.Random(seed)
        server = Server(rng)
        fleet = Fleet(server, size, concurrency=slots)
        await asyncio.sleep(15.0)
        idle = Idle(server, fleet)
        shortest = 0.2 if size == 2 else 0.3
        rate = size * slots * load / ((shortest + 1.5) / 2)
        while server.loop.time() < 75.0:
            server.enqueue(rng.uniform(shortest, 1.5))
            await asyncio.sleep(rng.expovariate(rate))
        await asyncio.sleep(20.0)
        await idle.end()
        await fleet.end()
        assert idle.longest < 0.5

    simulated(play(), monkeypatch)


@pytest.mark.parametrize(("size", "slots"), [(30, 1), (200, 1), (200, 4)])
def test_a_full_watch_costs_the_same_in_any_fleet(
    size: int, slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs that take longer than a watcher with no slot stays on the watch."""

    async def play() -> None:
        rng = random.Random(1)
        server = Server(rng)
        fleet = Fleet(server, size, concurrency=slots)
        await at_rest(fleet)
        idle = server.counts.copy()
        await asyncio.sleep(10.0)
        idle = server.counts - idle
        before = server.counts.copy()
        rate = 20.0
        for _ in range(int(rate * 10)):
            server.enqueue(0.5)
            await asyncio.sleep(rng.expovariate(rate))
        spent, jobs = server.counts - before, rate * 10
        await asyncio.sleep(10.0)
        await fleet.end()
        assert waits(server)[-1] < 0.6
        statements = ("claim", "heartbeat", "listen", "raise", "lower", "call")
        each = {what: (spent[what] - idle[what]) / jobs for what in statements}
        assert sum(each.values()) < 25, each

    simulated(play(), monkeypatch)


def test_nobody_runs_most_jobs_while_others_are_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten jobs at a time, four workers of a hundred slots: a process has one core."""

    async def play() -> None:
        rng = random.Random(1)
        server = Server(rng)
        fleet = Fleet(server, 4)
        await at_rest(fleet)
        jobs = 1_000
        for _ in range(jobs):
            server.enqueue(0.1)
            await asyncio.sleep(rng.expovariate(100.0))
        await asyncio.sleep(2.0)
        await fleet.end()
        ran = sorted(worker.runner.finished for worker in fleet.workers)
        assert ran[-1] < 0.7 * jobs, ran

    simulated(play(), monkeypatch)


@pytest.mark.parametrize("size", [1, 4, 30])
def test_a_late_commit_does_not_end_a_stream(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its transaction read the flag when it was up, and notifies who took it down since."""

    async def play() -> None:
        rng = random.Random(1)
        server = Server(rng)
        fleet = Fleet(server, size)
        await at_rest(fleet)
        for _ in range(8_000):
            late = rng.random() * 0.3 if rng.random() < 0.05 else 0.0
            server.enqueue(commits_after=late)
            await asyncio.sleep(0.0005)
        await asyncio.sleep(7.0)
        await fleet.end()
        late_ones = waits(server)
        assert late_ones[int(len(late_ones) * 0.9)] < 0.02
        assert late_ones[int(len(late_ones) * 0.999)] < 0.1
        assert late_ones[-1] < 0.5  # it read the flag while it was down, and came after the stream

    simulated(play(), monkeypatch)


def test_a_stream_of_one_kind_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two services share a queue, and know different tasks."""

    async def play() -> None:
        server = Server(random.Random(1))
        fleets = Fleet(server, 3, tasks=["a"]), Fleet(server, 3, tasks=["b"])
        for fleet in fleets:
            await at_rest(fleet)
        for n in range(20_000):
            server.enqueue(task="a")
            if n % 100 == 50:
                server.enqueue(task="b")
            await asyncio.sleep(0.0005)
        await asyncio.sleep(7.0)
        for fleet in fleets:
            await fleet.end()
        late = sorted((job.begun or 1e9) - job.enqueued for job in server.jobs if job.task == "b")
        assert late[len(late) // 2] < 0.02, (late[len(late) // 2], late[-1])

    simulated(play(), monkeypatch)


def test_who_may_take_no_more_jobs_leaves_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """With max_jobs: its last jobs are long, and it has slots that it may not fill."""

    async def play() -> None:
        rng = random.Random(1)
        server = Server(rng)
        fleet = Fleet(server, 5, concurrency=10, max_jobs=4)
        await at_rest(fleet)
        for _ in range(3 * 4):
            server.enqueue(60.0)
            await asyncio.sleep(0.5)
        await asyncio.sleep(5.0)  # two heartbeats
        since = len(server.jobs)
        for _ in range(6):
            server.enqueue()
            await asyncio.sleep(1.7)
        await asyncio.sleep(5.0)
        begun = [(job.begun or 1e9) - job.enqueued for job in server.jobs[since:]]
        await fleet.end()
        assert max(begun) < 0.1, begun

    simulated(play(), monkeypatch)


def test_a_worker_alone_hears_again_as_soon_as_its_backlog_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A heartbeat found it full, and nobody else is there to be on watch for it."""

    async def play() -> None:
        server = Server(random.Random(1))
        fleet = Fleet(server, 1, concurrency=10)
        await at_rest(fleet)
        probes: list[int] = []
        for n in range(10):
            server.enqueue(0.1, times=200 + 37 * n)
            while server.ready or fleet.workers[0].runner.running:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            probes.append(len(server.jobs))
            server.enqueue()
            await asyncio.sleep(6.0)
        await fleet.end()
        begun = [(server.jobs[n].begun or 1e9) - server.jobs[n].enqueued for n in probes]
        assert max(begun) < 0.1, begun

    simulated(play(), monkeypatch)


@pytest.mark.parametrize("size", [1, 4, 30])
def test_whoever_forges_notifications_keeps_no_worker_from_its_work(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any role that may connect can say that somebody took the flag down, again and again."""

    async def play() -> None:
        server = Server(random.Random(1))
        fleet = Fleet(server, size)
        await at_rest(fleet)

        async def forge() -> None:
            while True:
                server.notify("d:default")
                await asyncio.sleep(0.4)

        forger = asyncio.create_task(forge())
        for _ in range(1_000):
            server.enqueue()
            await asyncio.sleep(0.0005)
        since = len(server.jobs)
        for _ in range(20):
            await asyncio.sleep(1.7)
            server.enqueue()
        await asyncio.sleep(6.0)
        forger.cancel()
        begun = sorted((job.begun or 1e9) - job.enqueued for job in server.jobs[since:])
        await fleet.end()
        assert begun[-1] < 0.6, begun

    simulated(play(), monkeypatch)


def test_each_burst_reaches_as_many_as_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bursts within a second of each other: the watch called for the first one."""

    async def play() -> None:
        server = Server(random.Random(1))
        fleet = Fleet(server, 30, concurrency=10)
        await at_rest(fleet)
        worst: list[float] = []
        for _ in range(6):
            since = len(server.jobs)
            server.enqueue(0.1, times=300)
            await asyncio.sleep(0.6)
            worst.append(max((job.begun or 1e9) - job.enqueued for job in server.jobs[since:]))
        await asyncio.sleep(5.0)
        await fleet.end()
        assert max(worst) < 0.15, worst

    simulated(play(), monkeypatch)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_watcher_that_gets_more_to_do_says_so_at_once(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with its next heartbeat, which may be two seconds away."""

    async def play() -> None:
        server = Server(random.Random(seed))
        fleet = Fleet(server, 8)
        await at_rest(fleet)
        first = fleet.watch[0]
        while server.loop.time() - first.row[0] > 0.1:  # noqa: ASYNC110  (it has just sent a heartbeat)
            await asyncio.sleep(0.05)
        for _ in range(150):
            server.enqueue(0.3)
            await asyncio.sleep(0.01)
        await asyncio.sleep(2.0)
        await fleet.end()
        assert first.runner.finished < 100, [worker.runner.finished for worker in fleet.workers]

    simulated(play(), monkeypatch)
