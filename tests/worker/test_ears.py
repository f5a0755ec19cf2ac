"""f12: a worker that does not hear notifications any more notices by itself, and listens anew."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from pgqueue import App, Worker
from pgqueue.db.migrate import migrate
from pgqueue.db.statements import statement
from pgqueue.worker.machines import Machines
from pgqueue.worker.timings import EarTimings, Timings
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, working

pytestmark = pytest.mark.one_turn

ROUTES = ["direct"]

NOTIFY = "select pgqueue.notify($1) from pgqueue.queue where waiting"
NUMBERS = itertools.count()


async def made_anew(worker: Worker, eyes: Eyes, dsn: str) -> None:
    await eyes.sql("drop schema pgqueue cascade")
    await migrate(dsn, "pgqueue")


async def unlistened(worker: Worker, eyes: Eyes, dsn: str) -> None:
    async with worker.machines.session.store.turn:
        await worker.machines.claim_link.fetch("unlisten *")


async def rows_deleted(worker: Worker, eyes: Eyes, dsn: str) -> None:
    await eyes.sql("with gone as (delete from pgqueue.queue) delete from pgqueue.turn")


async def flag_lowered(worker: Worker, eyes: Eyes, dsn: str) -> None:
    await eyes.sql("update pgqueue.queue set waiting = false")


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What workers hear, one entry for each notification."""
    heard: list[str] = []
    original = Machines.hear

    def note(self: Machines, payload: str) -> None:
        heard.append(payload)
        original(self, payload)

    monkeypatch.setattr(Machines, "hear", note)
    return heard


async def hears(eyes: Eyes, heard: list[str]) -> None:
    """Wait until a worker hears what is sent from now on, as enqueuers do if the flag is up."""
    sent: list[str] = []

    async def came() -> bool:
        # A number of its own: what was sent before a fault may still be on its way.
        sent.append(f"x:{next(NUMBERS)}")
        try:
            await eyes.sql(NOTIFY, sent[-1])
        except asyncpg.PostgresError:
            return False  # the schema is just being made
        return not set(sent).isdisjoint(heard)

    await eventually(came, timeout_s=60, what="a worker hears a notification")


@pytest.mark.report("f12")
@pytest.mark.parametrize("fault", [made_anew, unlistened, rows_deleted, flag_lowered])
async def test_it_hears_again(
    app: App,
    eyes: Eyes,
    dsn: str,
    heard: list[str],
    fault: Callable[[Worker, Eyes, str], Awaitable[None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    @app.task
    async def noop() -> None: ...

    async with working(app) as worker:
        await hears(eyes, heard)
        await fault(worker, eyes, dsn)
        await hears(eyes, heard)
        await app.aenqueue(noop.name)
        await eyes.settled(completed=1)
        rows = await eyes.sql(
            "select queue from pgqueue.turn union all select name from pgqueue.queue"
        )
        assert [row[0] for row in rows] == ["default"] * 2
    said = caplog.text.count("does not hear notifications")
    assert said == (fault in (made_anew, unlistened))


@pytest.mark.report("f12")
async def test_words_that_nobody_brings_are_missed(
    app: App, eyes: Eyes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The session listens to the right channel, and hears nothing: as behind a pooler."""

    @app.task
    async def noop() -> None: ...

    caplog.set_level(logging.INFO, "pgqueue.worker")
    often = Timings(ears=EarTimings(every=0.3, bound=0.1))
    deaf = True
    original = Machines.hear
    monkeypatch.setattr(
        Machines, "hear", lambda self, *said: None if deaf else original(self, *said)
    )
    async with working(app, poll_interval=0.1, timings=often) as worker:
        before = worker.machines.claim_link.connects
        await eventually(lambda: worker.machines.claim_link.connects > before + 1, timeout_s=60)
        assert caplog.text.count("does not hear notifications") == 1
        deaf = False
        await eventually(lambda: "notifications are heard again" in caplog.text, timeout_s=60)
        await app.aenqueue(noop.name)
        await eyes.settled(completed=1)


async def test_one_word_is_heard_by_all(app: App, eyes: Eyes, heard: list[str]) -> None:
    """So one of a fleet speaks for all."""

    @app.task
    async def noop() -> None: ...

    seldom = Timings(ears=EarTimings(every=3600.0))
    async with working(app, timings=seldom) as first, working(app, timings=seldom) as second:
        workers = first, second
        await eventually(lambda: all(worker.machines.claimer.flags.on_watch for worker in workers))
        ears = [worker.machines.claimer.flags.ears for worker in workers]
        for each in ears:
            each.word_at = time.monotonic() + 600.0
        before = len(heard)
        ears[0].word_at = 0.0
        await eventually(lambda: len(heard) >= before + 2, timeout_s=60)
        assert all(each.word_at > time.monotonic() + 1800 for each in ears)


async def test_the_statement_says_what_it_sees(app: App, dsn: str) -> None:
    """Rows are entered, and the word comes to who listens."""
    sql = statement("check_ears", "pgqueue")
    connection = await asyncpg.connect(dsn)
    words: asyncio.Queue[str] = asyncio.Queue()
    try:
        (row,) = await connection.fetch(sql, ["a", "b"], False)
        assert tuple(row) == (False, False, ["a", "b"])
        channel = await connection.fetchval("select pgqueue.channel()")
        await connection.add_listener(channel, lambda *args: words.put_nowait(args[-1]))
        await connection.fetch(statement("raise_flags", "pgqueue"), ["a"])
        (row,) = await connection.fetch(sql, ["a", "b"], True)
        assert tuple(row) == (True, True, ["b"])
        assert await asyncio.wait_for(words.get(), 30) == "h"
        await connection.execute("set pgqueue.notify = off")
        (row,) = await connection.fetch(sql, ["a", "b"], True)
        assert tuple(row) == (True, False, ["b"])
        await connection.execute("unlisten *")
    finally:
        await connection.close()
