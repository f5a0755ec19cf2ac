"""Far more calls than connections, on a server that is slow and healthy: nobody is left in stall.

What cannot be done in time ends in "nothing was sent". Outcomes are counted, and rows beside them.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import asyncpg
import psycopg
import pytest
from chaos.faults.cutting import CuttingProxy

from pgqueue import App
from pgqueue.db import stall
from pgqueue.db.call import Call, Ended
from pgqueue.db.faults import Contended
from pgqueue.errors import OutcomeUnknown, PoolTimeout, Unreachable
from tests.harness.waiting import eventually
from tests.worker.support import Eyes

pytestmark = pytest.mark.alone

SLOW = """
create function public.slow() returns trigger language plpgsql as
$$ begin perform pg_sleep(0.01 + random() * 0.02); return new; end $$;
create trigger slow before insert on pgqueue.job for each row execute function public.slow();
"""
CALLS = 2000
# The other session may take its time: how long that is says something of the machine.
PATIENT = stall.StallTimings(ask=60.0)


@pytest.fixture
async def busy(dsn: str, eyes: Eyes) -> App:
    """An app whose calls wait for less than it takes, and that doubts its server all the time."""
    await eyes.connection.execute(SLOW)
    app = App(dsn)
    app.pool.timings = replace(PATIENT, after=0.05)
    app.pool.wait = 5.0
    return app


@pytest.fixture
def doubts(app: App, monkeypatch: pytest.MonkeyPatch) -> list[stall.StallCheck]:
    """What watches over the calls of ``app``; each has far more time than a test takes."""
    made: list[stall.StallCheck] = []
    app.pool.deadline = 3600.0
    app.pool.timings = PATIENT
    real = app.pool.check_stall

    def note(*args: Any, **options: Any) -> stall.StallCheck:
        made.append(real(*args, **options))
        return made[-1]

    monkeypatch.setattr(app.pool, "check_stall", note)
    return made


def let_time_run_out(watching: stall.StallCheck) -> None:
    watching._timer.cancel()
    watching._until = time.monotonic() + 0.2
    watching._arm(time.monotonic())


def hold_up(seconds: float) -> None:
    """Keep the loop from all else, as a handler that computes does."""
    time.sleep(seconds)


def judge(outcomes: Counter[type[BaseException] | None], rows: int) -> None:
    assert set(outcomes) <= {None, PoolTimeout, Unreachable}
    assert sum(outcomes.values()) == CALLS
    assert outcomes[None] == rows
    assert outcomes[PoolTimeout]


async def test_many_calls_at_once_on_a_loop_that_is_held_up(busy: App, eyes: Eyes) -> None:
    outcomes: Counter[type[BaseException] | None] = Counter()

    async def one(n: int) -> None:
        try:
            await busy.aenqueue("t", {"n": n})
            outcomes[None] += 1
        except Exception as exc:
            outcomes[type(exc)] += 1
        if outcomes.total() % 100 == 0:
            hold_up(0.3)

    await asyncio.gather(*(one(n) for n in range(CALLS)))
    await busy.aclose()
    judge(outcomes, await eyes.value("select count(*) from pgqueue.job"))


async def test_many_calls_at_once_in_threads(busy: App, eyes: Eyes) -> None:
    outcomes: Counter[type[BaseException] | None] = Counter()
    lock = threading.Lock()

    def one(n: int) -> None:
        end: type[BaseException] | None = None
        try:
            busy.enqueue("t", {"n": n})
        except Exception as exc:
            end = type(exc)
        with lock:
            outcomes[end] += 1

    def all_of_them() -> None:
        with ThreadPoolExecutor(400) as threads:
            list(threads.map(one, range(CALLS)))

    busy.pool.wait = 1.0
    await asyncio.to_thread(all_of_them)
    await asyncio.to_thread(busy.close)
    judge(outcomes, await eyes.value("select count(*) from pgqueue.job"))


async def test_time_in_which_the_loop_was_held_up_does_not_count(
    app: App, dsn: str, eyes: Eyes, doubts: list[stall.StallCheck]
) -> None:
    """Nobody could read an answer; the call's time is over when the loop goes on."""
    app.pool.timings = replace(PATIENT, read=60.0)
    await app.aenqueue("t")
    await eyes.connection.execute(re.sub(r"pg_sleep\(.*?\);", "pg_advisory_xact_lock(42);", SLOW))
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("select pg_advisory_lock(42)")
        call = asyncio.ensure_future(app.aenqueue("t"))
        await eventually(
            lambda: eyes.value("select count(*) from pg_locks where not granted"), timeout_s=60
        )
        doubts[-1]._idle = None  # as behind a pooler: nobody can be asked
        let_time_run_out(doubts[-1])
        hold_up(2.0)
        for _ in range(5):
            await asyncio.sleep(0)
        other.execute("select pg_advisory_unlock(42)")
        assert (await call).id


async def test_a_connection_that_was_ended_under_its_caller_is_replaced(app: App) -> None:
    """As by a neighbour that was found silent: asyncpg stumbles over its own missing parts."""
    await app.aenqueue("t")
    for _ in range(3):
        tried = 0

        async def work(connection: asyncpg.Connection) -> int:
            nonlocal tried
            tried += 1
            if tried == 1:
                connection.terminate()
            return await connection.fetchval("select 1")

        assert await app.pool.arun(work) == 1
        assert tried == 2
    await app.aclose()


@pytest.mark.usefixtures("app")
async def test_the_neighbours_of_a_silent_connection_live_on(
    cutting: CuttingProxy, eyes: Eyes
) -> None:
    app = App(cutting.dsn)
    app.pool.timings = replace(PATIENT, after=0.2)
    for _ in range(3):
        await asyncio.gather(*(app.aenqueue("t") for _ in range(5)))
    before = await client_pids(eyes)
    assert len(before) == 5
    silent: list[object] = []

    def first(link: object) -> bool:
        if not silent:
            silent.append(link)
        return link is silent[0] and link.role == "client"  # type: ignore[attr-defined]

    assert cutting.silence(first) == 1
    results = await asyncio.gather(*(app.aenqueue("t") for _ in range(5)), return_exceptions=True)
    # One that was not executed there yet is done elsewhere.
    failed = [type(r) for r in results if isinstance(r, BaseException)]
    assert failed in ([], [OutcomeUnknown])
    await asyncio.gather(*(app.aenqueue("t") for _ in range(5)))
    assert len(before & await client_pids(eyes)) >= 4
    await app.aclose()


async def client_pids(eyes: Eyes) -> set[int]:
    rows = await eyes.sql(
        "select pid from pg_stat_activity where application_name = 'pgqueue client'"
        " and datname = current_database()"
    )
    return {row["pid"] for row in rows}


async def test_a_wait_for_a_lock_ends_as_one(
    app: App, dsn: str, eyes: Eyes, doubts: list[stall.StallCheck]
) -> None:
    await app.aenqueue("t")
    other = await asyncpg.connect(dsn)
    transaction = other.transaction()
    await transaction.start()
    await app.aenqueue("t", unique_key="k", connection=other)
    call = asyncio.ensure_future(app.aenqueue("t", unique_key="k"))
    await eventually(
        lambda: eyes.value("select count(*) from pg_locks where not granted"), timeout_s=60
    )
    let_time_run_out(doubts[-1])
    with pytest.raises(Contended, match=r"a lock that another transaction holds.*nothing was done"):
        await call
    await transaction.rollback()
    await other.close()
    assert (await app.aenqueue("t", unique_key="k")).duplicate is False


def test_no_statement_is_sent_with_too_little_time_left() -> None:
    call = Call(30.0, checked=True, size=0)
    assert call.begin(100.0) == 130.0
    assert call.begin(126.0) == 130.0
    with pytest.raises(Unreachable, match="nothing was sent"):
        call.begin(127.5)


def test_a_lost_session_is_told_in_other_words_when_there_is_no_time_left() -> None:
    call = Call(0.5, checked=True, size=0)
    call.begin(time.monotonic())
    cause = ConnectionResetError("gone")
    ended = Ended("the session had ended")
    ended.__cause__ = cause
    with pytest.raises(Unreachable, match="nothing was sent") as caught:
        [call.again(ended) for _ in range(100)]  # ever longer, until there is no time
    assert type(caught.value) is Unreachable
    assert caught.value.__cause__ is cause
