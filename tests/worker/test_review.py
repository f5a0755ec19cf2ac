"""What a review found in the worker, each with the order of events that it took."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pgqueue import App, RunningJob
from pgqueue.db.faults import Contended
from pgqueue.db.link import KEEPALIVES
from pgqueue.db.store import Store
from pgqueue.errors import OutcomeUnknown, Unreachable
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, Runs, working


async def test_a_lost_claim_is_looked_for_until_the_database_answers(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outage may well be longer than all looks together."""
    seen: list[int] = []
    looks: list[int] = []

    @app.task
    async def note(n: int) -> None:
        seen.append(n)

    claim, release = Store.claim, Store.release_claim
    monkeypatch.setattr("pgqueue.worker.lifeline._RECOVER_AFTER", (0.05, 0.05))

    async def lost(self: Store, *args: Any) -> Any:
        rows = await claim(self, *args)
        if rows and not looks:
            raise OutcomeUnknown("the answer was lost")
        return rows

    async def away(self: Store, *args: Any) -> Any:
        looks.append(1)
        if len(looks) < 5:
            raise Unreachable("the database is away")
        return await release(self, *args)

    monkeypatch.setattr(Store, "claim", lost)
    monkeypatch.setattr(Store, "release_claim", away)
    async with working(app):
        await note.aenqueue(1)
        await eyes.settled(completed=1)
    assert seen == [1]


async def test_a_suspect_that_cannot_be_marked_is_given_back(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else would: this worker holds it, and renews its lease."""
    seen: list[int] = []
    tried: list[int] = []

    @app.task
    async def note(n: int) -> None:
        seen.append(n)

    expose = Store.expose

    async def fails_once(self: Store, *args: Any) -> bool:
        tried.append(1)
        if len(tried) == 1:
            raise OutcomeUnknown("the connection was lost")
        return await expose(self, *args)

    monkeypatch.setattr(Store, "expose", fails_once)
    job_id = (await note.aenqueue(1)).id
    await eyes.sql("update pgqueue.job set crash_count = 2, attempt = 2")
    async with working(app):
        row = await eyes.reaches(job_id, "completed")
    assert seen == [1]
    assert row["attempt"] == 3


async def test_a_claim_that_failed_is_repeated_before_the_next_poll(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.task
    async def note(n: int) -> None: ...

    claim = Store.claim
    failed: list[int] = []

    async def fails_once(self: Store, *args: Any) -> Any:
        if armed and not failed:
            failed.append(1)
            raise Contended("it took too long")
        return await claim(self, *args)

    armed = False
    monkeypatch.setattr(Store, "claim", fails_once)
    async with working(app, poll_interval=30.0):
        await note.aenqueue(1)
        await eyes.settled(completed=1)
        await asyncio.sleep(1.5)  # it looks often for a second; then only when told
        armed = True
        await note.aenqueue(2)
        await eyes.settled(completed=2, timeout_s=5)
    assert failed


async def test_one_row_that_cannot_be_read_does_not_stop_the_others(app: App, eyes: Eyes) -> None:
    runs = Runs()

    @app.task
    async def note(n: int) -> None:
        with runs.of(n):
            pass

    ids = [e.id for e in await app.aenqueue_many([note.job(n) for n in range(6)])]
    await eyes.sql("update pgqueue.job set enqueued_at = '20000-01-01' where id = $1", ids[2])
    async with working(app):
        await eyes.settled(completed=5, running=1)
    assert sorted(runs.seen) == [0, 1, 3, 4, 5]


async def test_one_row_that_the_server_cannot_move_does_not_stop_the_others(
    app: App, eyes: Eyes
) -> None:
    """A damaged row; here a trigger says what a damaged page makes PostgreSQL say."""

    @app.task
    async def note(n: int) -> None: ...

    ids = [e.id for e in await app.aenqueue_many([note.job(n) for n in range(6)])]
    await eyes.sql(
        "create function damaged() returns trigger language plpgsql as"
        " $$ begin raise 'missing chunk number 0' using errcode = 'XX001'; end $$"
    )
    await eyes.sql(
        f"create trigger damaged before delete on pgqueue.job for each row when (old.id = {ids[2]})"
        " execute function damaged()"
    )
    async with working(app):
        await eyes.settled(completed=5, running=1)
        await eyes.sql("drop trigger damaged on pgqueue.job")


async def test_a_session_that_the_server_ended_costs_no_attempt(app: App, eyes: Eyes) -> None:
    @app.task
    def settle(*, job: RunningJob) -> None:
        with job.transaction() as tx:
            tx.execute("select 1")

    async with working(app):
        await settle.aenqueue()
        await eyes.settled(completed=1)
        assert await eyes.terminate("task") == 1
        await eventually(lambda: _none(eyes))
        job_id = (await settle.aenqueue()).id
        row = await eyes.reaches(job_id, "completed")
    assert row["attempt"] == 1
    assert row["errors"] is None


async def test_the_server_lets_go_of_transactions_of_a_host_that_vanished(
    app: App, eyes: Eyes
) -> None:
    """Else its keepalives take two hours, and the job's row is locked for as long."""
    show = "select name from pg_settings where name like 'tcp\\_%' and source = 'client'"
    seen: list[set[str]] = []

    @app.task
    def blocking(*, job: RunningJob) -> None:
        with job.transaction() as tx:
            seen.append({row[0] for row in tx.execute(show).fetchall()})

    @app.task
    async def asynchronous(*, job: RunningJob) -> None:
        async with job.transaction() as tx:
            seen.append({row[0] for row in await tx.fetch(show)})

    async with working(app):
        await blocking.aenqueue()
        await asynchronous.aenqueue()
        await eyes.settled(completed=2)
    assert seen == [set(KEEPALIVES), set(KEEPALIVES)]


async def _none(eyes: Eyes) -> bool:
    return not await eyes.sessions("pgqueue task")
