"""Whatever statements meet a job, in any order: allowed moves only, and none lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.db.hands import Hands, connect

from pgqueue.job import MOVES, JobState

ERROR = {"type": "ValueError", "message": "no", "worker": "w", "traceback": ""}
CAP = 3


@dataclass
class Model:
    """What a job should look like."""

    state: str
    attempt: int = 0
    crashes: int = 0
    asked: bool = False  # to be cancelled
    token: int | None = None
    errors: int = 0


class World:
    def __init__(self, hands: Hands) -> None:
        self.hands = hands
        self.jobs: dict[int, Model] = {}

    def pick(self, n: int, *states: str) -> tuple[int, Model] | None:
        fit = [(i, job) for i, job in self.jobs.items() if job.state in states]
        return fit[n % len(fit)] if fit else None

    # -- steps

    async def enqueue(self, n: int) -> None:
        job: dict[str, Any] = {"task": "t", "priority": n % 10}
        if n % 3 == 0:
            job["delay"] = 3600
        (row,) = await self.hands.enqueue(job)
        assert not row["duplicate"]
        self.jobs[row["id"]] = Model(row["state"])

    async def promote(self, n: int) -> None:
        """One scheduled job becomes due."""
        if found := self.pick(n, "scheduled"):
            await self.hands.sql("update @.job set run_at = now() where id = $1", found[0])
            await self.hands.sql("select 1")
            rows = await self.hands.run(
                "promote_jobs", 100, await self.hands.value("select now() - '1 h'::interval")
            )
            assert len(rows) == 1
            found[1].state = "pending"

    async def claim(self, n: int) -> None:
        rows = await self.hands.claim(limit=1 + n % 3)
        for row in rows:
            job = self.jobs[row["id"]]
            assert job.state == "pending"
            job.state, job.token = "running", self.hands.token
            job.attempt += 1
            assert row["attempt"] == job.attempt

    async def finish(self, n: int) -> None:
        if found := self.pick(n, "running"):
            state = "cancelled" if n % 4 == 0 else "completed"
            done = await self.hands.finish(found[0], token=found[1].token, state=state)
            assert done == [found[0]]
            found[1].state = state

    async def release(self, n: int) -> None:
        """Released untouched, or after a failed attempt."""
        if found := self.pick(n, "running"):
            job_id, job = found
            failed = n % 2
            done = await self.hands.release(
                job_id,
                token=job.token,
                delay=3600.0 if failed else None,
                change=0 if failed else -1,
                error=ERROR if failed else None,
            )
            assert done == ([] if job.asked else [job_id])
            if done:
                job.state = "scheduled" if failed else "pending"
                job.attempt -= not failed
                job.errors += failed

    async def bury(self, n: int) -> None:
        if found := self.pick(n, "running"):
            job_id, job = found
            done = await self.hands.bury(job_id, token=job.token, error=ERROR)
            assert done == ([] if job.asked else [job_id])
            if done:
                job.state = "dead"
                job.errors += 1

    async def stray(self, n: int) -> None:
        """Writes with a receipt that is not good change nothing."""
        if found := self.pick(n, *MOVES):
            job_id, job = found
            wrong = (job.token or 5) + 1
            assert await self.hands.finish(job_id, token=wrong) == []
            assert await self.hands.release(job_id, token=wrong) == []
            assert await self.hands.bury(job_id, token=wrong) == []
            assert await self.hands.run("quarantine_job", job_id, wrong, None, None) == []
            assert await self.hands.run("hold_job", job_id, wrong) == []

    async def cancel(self, n: int) -> None:
        if found := self.pick(n, *MOVES):
            job_id, job = found
            rows = await self.hands.run("cancel_jobs", [job_id])
            assert bool(rows) is (job.state in ("pending", "scheduled", "running"))
            if job.state in ("pending", "scheduled"):
                job.state = "cancelled"
            elif job.state == "running":
                job.asked = True

    async def revive(self, n: int) -> None:
        if found := self.pick(n, "cancelled"):
            rows = await self.hands.run("revive_jobs", [found[0]])
            assert [row["id"] for row in rows] == [found[0]]
            self.jobs[found[0]] = Model("pending", errors=found[1].errors)

    async def redrive(self, n: int) -> None:
        if found := self.pick(n, "dead"):
            rows = await self.hands.run("redrive_jobs", [found[0]])
            assert [row["id"] for row in rows] == [found[0]]
            self.jobs[found[0]] = Model("pending", errors=found[1].errors)

    async def ready(self, n: int) -> None:
        if found := self.pick(n, *MOVES):
            rows = await self.hands.run("ready_jobs", [found[0]])
            assert bool(rows) is (found[1].state == "scheduled")
            if rows:
                found[1].state = "pending"

    async def rescue(self, n: int) -> None:
        """The worker dies; with a quarantined job among those that it held, or without."""
        held = {i: job for i, job in self.jobs.items() if job.state == "running"}
        quarantined: int | None = None
        if held and n % 2:
            quarantined = sorted(held)[n % len(held)]
            await self.hands.run("quarantine_job", quarantined, held[quarantined].token, None, None)
        fates = await self.hands.rescue(self.hands.id, cap=CAP)
        assert set(fates) == set(held)
        for job_id, job in held.items():
            blamed = quarantined is None or quarantined == job_id
            if job.asked:
                assert fates[job_id] == "cancelled"
                job.state = "cancelled"
                continue
            job.crashes += blamed
            job.attempt -= not blamed
            job.errors += blamed
            fatal = blamed and job.crashes >= CAP
            assert fates[job_id] == ("dead" if fatal else "rescued")
            job.state = "dead" if fatal else "pending"

    # -- what must hold

    async def check(self, before: dict[int, str]) -> None:
        rows = await self.hands.sql(
            "select id, state, attempt, crash_count,"
            " coalesce(jsonb_array_length(errors), 0) as errors from @.jobs"
        )
        assert len(rows) == len(self.jobs), "a job was lost or doubled"
        for row in rows:
            job = self.jobs[row["id"]]
            seen = (row["state"], row["attempt"], row["crash_count"], row["errors"])
            assert seen == (job.state, job.attempt, job.crashes, min(job.errors, 20))
            was = before.get(row["id"])
            if was is not None and was != row["state"]:
                assert JobState(row["state"]) in MOVES[JobState(was)], f"{was} to {row['state']}"


NAMES = [
    "enqueue", "enqueue", "promote", "claim", "claim", "finish", "release", "bury", "stray",
    "cancel", "revive", "redrive", "ready", "rescue",
]  # fmt: skip
STEPS = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 60)), min_size=10, max_size=60)
Play = Callable[[list[tuple[str, int]]], None]


@pytest.fixture
def play(dsn: str) -> Iterator[Play]:
    with asyncio.Runner() as runner:
        hands = runner.run(connect(dsn))
        runner.run(hands.serve("default"))

        async def once(steps: list[tuple[str, int]]) -> None:
            world = World(hands)
            try:
                for name, n in steps:
                    before = {job_id: job.state for job_id, job in world.jobs.items()}
                    await getattr(world, name)(n)
                    await world.check(before)
            finally:
                for table in ("job", "dead", "history"):
                    await hands.sql(f"delete from @.{table}")

        yield lambda steps: runner.run(once(steps))
        hands.connection.terminate()
        runner.run(asyncio.sleep(0))


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(STEPS)
def test_jobs_move_as_they_may_and_none_is_lost(play: Play, steps: list[tuple[str, int]]) -> None:
    play(steps)
