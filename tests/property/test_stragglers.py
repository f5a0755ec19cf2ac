"""No interleaving of commits, rollbacks, claims and rescues leaves a committed job behind.

Producers and workers are real sessions; a worker keeps the real cursors and the real floor, and
takes them to the real statements as the claimer and the heartbeat thread do.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.db.hands import Hands, connect

from pgqueue.worker.claim.cursor import Cursors
from pgqueue.worker.fleet.floor import Floor

QUEUES = ["a", "b"]
PRODUCERS = 3
WORKERS = 2
TICK = 0.1


class Producer:
    """A session that enqueues in transactions of its own."""

    def __init__(self, hands: Hands) -> None:
        self.hands = hands
        self.places: dict[int, int] = {}  # of the open transaction: id -> position
        self.open = False

    async def begin(self) -> None:
        if not self.open:
            await self.hands.sql("begin")
            self.open = True

    async def end(self, how: str) -> dict[int, int]:
        """Return what this made visible."""
        if self.open:
            await self.hands.sql(how)
        places, self.places, self.open = self.places, {}, False
        return places if how == "commit" else {}


class Worker:
    """A session that claims; its cursors and its floor outlive a lost lease."""

    def __init__(self, hands: Hands) -> None:
        self.hands = hands
        self.cursors = Cursors(QUEUES)
        self.floor = Floor()
        self.held: dict[int, int] = {}  # id -> token

    async def claim(self, how: str, now: float, limit: int, *, undo: bool = False) -> list[Any]:
        self.cursors.remember(now)
        if how == "heads":
            cursors = self.cursors.heads(QUEUES)
        else:
            cursors = self.cursors.lagging(QUEUES, now, 0.25 if how == "near" else 2.0)
        if undo:
            await self.hands.sql("begin")
        rows = await self.hands.claim(*QUEUES, limit=limit, cursors=cursors)
        if undo:
            await self.hands.sql("rollback")
            return []
        for row in rows:
            self.cursors.advance(row["queue"], row["priority"], row["position"])
            self.held[row["id"]] = self.hands.token
        if rows:
            self.cursors.settle()
        return rows

    async def look(self) -> bool:
        """Search for stragglers, as the heartbeat thread does; go back to what was found.

        Return whether no transaction ran meanwhile, of this database or another.
        """
        alone = False
        rows = await self.hands.run(
            "find_stragglers", QUEUES, self.cursors.now(QUEUES), ["t"], self.floor.position
        )
        for row in rows:
            if row["queue"] is None:
                alone = row["oldest"] == row["following"]
                self.floor.learn(
                    lowest_live=row["position"],
                    newest=row["newest"],
                    oldest=row["oldest"],
                    following=row["following"],
                    server=row["server"],
                )
            else:
                self.cursors.rewind(row["queue"], row["position"])
        return alone


class World:
    """The sessions, and what is known to be true of the table."""

    def __init__(self, admin: Hands, producers: list[Producer], workers: list[Worker]) -> None:
        self.admin = admin
        self.producers = producers
        self.workers = workers
        self.now = 0.0
        self.ready: dict[int, int] = {}  # committed and not finished: id -> position
        self.locked: set[int] = set()

    async def play(self, steps: list[tuple[Any, ...]]) -> None:
        for step in steps:
            self.now += TICK
            await getattr(self, step[0])(*step[1:])
            self.check_floors()

    # -- steps

    async def enqueue(self, k: int, queue: str, priority: int, count: int, keyed: bool) -> None:
        producer = self.producers[k]
        await producer.begin()
        job: dict[str, Any] = {"task": "t", "queue": queue, "priority": priority}
        jobs = [job] * count
        if keyed:
            jobs = [{**job, "unique_key": f"{secrets.randbits(64)}"} for _ in jobs]
        ids = [row["id"] for row in await producer.hands.enqueue(*jobs)]
        rows = await producer.hands.sql("select id, position from @.job where id = any ($1)", ids)
        producer.places |= {row["id"]: row["position"] for row in rows}

    async def undone_enqueue(self, k: int, queue: str) -> None:
        """Enqueue within a savepoint that is rolled back."""
        producer = self.producers[k]
        await producer.begin()
        await producer.hands.sql("savepoint s")
        await producer.hands.enqueue({"task": "t", "queue": queue})
        await producer.hands.sql("rollback to savepoint s")

    async def idle_transaction(self, k: int) -> None:
        await self.producers[k].begin()
        await self.producers[k].hands.sql("select pg_current_xact_id()")

    async def lock(self, k: int, count: int) -> None:
        """Lock jobs as another claimer does that has not committed yet, and will not."""
        await self.producers[k].begin()
        await self.producers[k].hands.sql(
            "select id from @.job where worker_id is null and id = any ($2)"
            " order by position limit $1 for update skip locked",
            count, list(self.ready),
        )  # fmt: skip

    async def commit(self, k: int) -> None:
        self.ready |= await self.producers[k].end("commit")

    async def rollback(self, k: int) -> None:
        await self.producers[k].end("rollback")

    async def claim(self, w: int, how: str, limit: int, undo: bool) -> None:
        rows = await self.workers[w].claim(how, self.now, limit, undo=undo)
        for row in rows:
            assert row["id"] in self.ready, "a job that was never committed was claimed"
            holders = [worker for worker in self.workers if row["id"] in worker.held]
            assert holders == [self.workers[w]], "a job was claimed while another receipt was good"

    async def look(self, w: int) -> None:
        await self.workers[w].look()

    async def complete(self, w: int, count: int) -> None:
        worker = self.workers[w]
        for job_id, token in list(worker.held.items())[:count]:
            assert await worker.hands.finish(job_id, token=token) == [job_id]
            del worker.held[job_id], self.ready[job_id]

    async def release(self, w: int, count: int, announced: bool) -> None:
        worker = self.workers[w]
        for job_id, token in list(worker.held.items())[:count]:
            assert await worker.hands.release(job_id, token=token) == [job_id]
            del worker.held[job_id]
            await self.announce([job_id], announced)

    async def put_off(self, w: int, announced: bool) -> None:
        """Give a job back for later, and promote it: it gets a new position."""
        worker = self.workers[w]
        for job_id, token in list(worker.held.items())[:1]:
            assert await worker.hands.release(job_id, token=token, delay=0.0) == [job_id]
            del worker.held[job_id]
            await self.admin.sql("update @.job set run_at = now() where id = $1", job_id)
            await worker.hands.run(
                "promote_jobs", 10, await self.admin.value("select now() - '1d'::interval")
            )
            self.ready[job_id] = await self.admin.value(
                "select position from @.job where id = $1", job_id
            )

    async def rescue(self, w: int, announced: bool) -> None:
        """Another worker takes this one for dead; it goes on, with receipts that are void."""
        worker = self.workers[w]
        fates = await self.workers[w - 1].hands.rescue(worker.hands.id, cap=100)
        assert set(fates) == set(worker.held)
        for job_id, token in worker.held.items():
            assert await worker.hands.finish(job_id, token=token) == []
        worker.held.clear()
        worker.hands.id = secrets.randbits(62)
        await self.announce(list(fates), announced)

    async def announce(self, ids: list[int], announced: bool) -> None:
        """Ring, or lose the notification."""
        if not announced or not ids:
            return
        rows = await self.admin.sql("select queue, position from @.job where id = any ($1)", ids)
        for row in rows:
            for worker in self.workers:
                worker.cursors.rewind(row["queue"], row["position"])

    # -- what must hold

    def check_floors(self) -> None:
        """Below a floor there is nothing live, and nothing that can still appear."""
        possible = list(self.ready.values())
        for producer in self.producers:
            possible += producer.places.values()
        for worker in self.workers:
            assert worker.floor.position < min(possible, default=2**63)

    async def settle(self, w: int) -> None:
        """All transactions end; one look, and claims until there are no more, find everything."""
        for k, _ in enumerate(self.producers):
            await self.commit(k) if k % 2 else await self.rollback(k)
        worker = self.workers[w]
        await worker.look()
        while True:
            self.now += TICK
            rows = await worker.claim("heads", self.now, 7)
            for row in rows:
                assert row["id"] in self.ready
            if not rows:
                break
        held = {job_id for each in self.workers for job_id in each.held}
        assert held == set(self.ready), "committed jobs were left behind"
        # With no transaction open, the floor gets to just below what is live in three looks. The
        # server opens some of its own, to analyze what has changed.
        looks = 0
        while looks < 3:
            looks = looks + 1 if await worker.look() else 0
        newest = await self.admin.value(
            "select last_value - (not is_called)::integer from @.position_seq"
        )
        lowest = min(self.ready.values(), default=newest + 1)
        assert worker.floor.position == min(lowest - 1, newest)

    async def clear(self) -> None:
        for k, _ in enumerate(self.producers):
            await self.rollback(k)
        await self.admin.sql("delete from @.job")
        await self.admin.sql("truncate @.history")


KS = st.integers(0, PRODUCERS - 1)
WS = st.integers(0, WORKERS - 1)
YES = st.booleans()
STEPS = st.one_of(
    st.tuples(
        st.just("enqueue"), KS, st.sampled_from(QUEUES), st.sampled_from([0, 5]),
        st.integers(1, 3), YES,
    ),
    st.tuples(st.just("commit"), KS),
    st.tuples(
        st.just("claim"), WS, st.sampled_from(["heads", "heads", "near", "far"]),
        st.integers(1, 4), st.sampled_from([False, False, True]),
    ),
    st.tuples(st.just("look"), WS),
    st.one_of(
        st.tuples(st.just("rollback"), KS),
        st.tuples(st.just("complete"), WS, st.integers(1, 3)),
        st.tuples(st.just("release"), WS, st.integers(1, 2), YES),
    ),
    st.one_of(
        st.tuples(st.just("undone_enqueue"), KS, st.sampled_from(QUEUES)),
        st.tuples(st.just("idle_transaction"), KS),
        st.tuples(st.just("lock"), KS, st.integers(1, 4)),
        st.tuples(st.just("put_off"), WS, YES),
        st.tuples(st.just("rescue"), WS, YES),
    ),
)  # fmt: skip

Play = Callable[[list[tuple[Any, ...]], int], None]


@pytest.fixture
def play(dsn: str) -> Iterator[Play]:
    """Plays steps from a clean table on sessions that stay open."""
    with asyncio.Runner() as runner:
        hands = [runner.run(connect(dsn)) for _ in range(WORKERS)]
        hands += [runner.run(connect(dsn, worker=False)) for _ in range(PRODUCERS + 1)]
        admin = hands[-1]
        runner.run(admin.serve(*QUEUES))

        async def once(steps: list[tuple[Any, ...]], last: int) -> None:
            world = World(
                admin,
                [Producer(each) for each in hands[WORKERS:-1]],
                [Worker(each) for each in hands[:WORKERS]],
            )
            try:
                await world.play(steps)
                await world.settle(last)
            finally:
                await world.clear()

        yield lambda steps, last: runner.run(once(steps, last))
        for each in hands:
            each.connection.terminate()
            runner.run(asyncio.sleep(0))


every = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@every
@given(st.lists(STEPS, min_size=10, max_size=60), WS)
def test_no_interleaving_leaves_a_committed_job_behind(
    play: Play, steps: list[tuple[Any, ...]], last: int
) -> None:
    play(steps, last)


def test_a_straggler_behind_the_cursor_is_found_by_one_look(play: Play) -> None:
    play(
        [
            ("enqueue", 1, "a", 5, 2, False),
            ("enqueue", 0, "a", 5, 1, False),
            ("commit", 0),
            ("claim", 0, "heads", 4, False),
            ("commit", 1),
        ],
        0,
    )


def test_the_floor_waits_for_the_oldest_transaction(play: Play) -> None:
    play(
        [
            ("enqueue", 1, "a", 5, 1, False),
            *[("look", 0)] * 5,
            ("enqueue", 0, "a", 5, 3, False),
            ("commit", 0),
            ("claim", 0, "heads", 4, False),
            ("complete", 0, 3),
            *[("look", 0)] * 5,
            ("commit", 1),
        ],
        0,
    )
