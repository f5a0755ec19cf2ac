"""Our own transactions are repeated when they had to give way to others; the caller's never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from tests.db.conftest import Connect
from tests.db.hands import Hands
from tests.harness.waiting import eventually

from pgqueue.admin.results import PurgeResult, RedriveResult
from pgqueue.client import Client
from pgqueue.job import Enqueued

# Refuses the first statements that write, for the reason that stands in the name of the sequence.
REFUSE = """
create sequence public.refused;
create function public.refuse() returns trigger language plpgsql security definer as $$
begin
    if nextval('public.refused') <= 3 then
        raise exception 'in the way of another' using errcode = tg_argv[0];
    end if;
    return null;
end;
$$;
"""
WAITS = """
select count(*) from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock'
"""
TABLES = ("job", "history", "dead", "queue")


async def refuse(hands: Hands, code: str) -> None:
    """Let the next three statements that write fail with this error."""
    await hands.connection.execute(REFUSE)
    for table in TABLES:
        await hands.sql(
            f"create trigger refuse before insert or update or delete on @.{table}"
            f" for each statement execute function public.refuse('{code}')"
        )


@pytest.fixture(params=["read committed", "repeatable read", "serializable"])
async def client(request: pytest.FixtureRequest, hands: Hands, dsn: str) -> AsyncIterator[Client]:
    """A client whose role or database says which isolation level is the default."""
    name = await hands.value("select current_database()")
    await hands.sql(
        f"alter database \"{name}\" set default_transaction_isolation = '{request.param}'"
    )
    async with Client(dsn) as client:
        yield client


def ready(jobs: Any) -> bool:
    match jobs:
        case RedriveResult():
            return jobs.redriven == 1
        case PurgeResult():
            return jobs.deleted == 1
        case [Enqueued() as job, *_]:
            return not job.duplicate
        case [first, *_]:
            return bool(first.changed)
        case Enqueued():
            return not jobs.duplicate
        case _:
            return bool(jobs)


async def jobs_of_all_kinds(hands: Hands) -> tuple[int, int, int]:
    """Ids of a job that waits, of one that was cancelled, of a dead one."""
    rows = await hands.enqueue(*[{"task": "t", "delay": 3600}] * 2, {"task": "t"})
    waits, cancelled, dead = [row["id"] for row in rows]
    await hands.run("cancel_jobs", [cancelled])
    await hands.claim()
    await hands.bury(dead)
    return waits, cancelled, dead


Call = Callable[[Client, tuple[int, int, int]], Awaitable[Any]]
CALLS: dict[str, Call] = {
    "enqueue": lambda c, ids: c.aenqueue("t"),
    "enqueue with a key": lambda c, ids: c.aenqueue("t", unique_key="k"),
    "enqueue from a thread": lambda c, ids: asyncio.to_thread(c.enqueue, "t", priority=0),
    "enqueue many": lambda c, ids: c.aenqueue_many([c.job("t", unique_key=k) for k in "abcdefgh"]),
    "cancel": lambda c, ids: c.acancel(ids[0]),
    "retry": lambda c, ids: c.aretry(ids[0]),
    "retry of a cancelled job": lambda c, ids: c.aretry(ids[1]),
    "redrive": lambda c, ids: c.aredrive(ids[2]),
    "redrive all that fit": lambda c, ids: c.aredrive(queue="default"),
    "purge": lambda c, ids: c.apurge_dead(ids[2]),
    "pause": lambda c, ids: c.apause("default"),
}  # fmt: skip


@pytest.mark.one_pg
@pytest.mark.parametrize("code", ["40001", "40P01"])
@pytest.mark.parametrize("call", CALLS)
async def test_what_had_to_give_way_is_done_again(
    client: Client, hands: Hands, call: str, code: str
) -> None:
    ids = await jobs_of_all_kinds(hands)
    await refuse(hands, code)
    assert ready(await CALLS[call](client, ids))
    assert await hands.value("select last_value from public.refused") > 3


async def test_a_retry_of_several_kinds_tells_of_each_what_it_moved(
    client: Client, hands: Hands
) -> None:
    """Each kind is moved in a transaction of its own, and repeated by itself."""
    ids = await jobs_of_all_kinds(hands)
    await hands.connection.execute(REFUSE)
    await hands.sql(
        "create trigger refuse before delete on @.dead"
        " for each statement execute function public.refuse('40P01')"
    )
    assert [(job.state, job.changed) for job in await client.aretry(ids)] == [("pending", True)] * 3


async def test_an_enqueue_that_a_stricter_level_refuses_is_repeated(
    client: Client, producer: Hands, hands: Hands
) -> None:
    """It waits for a key whose job its snapshot does not show, and is told of that job."""
    async with producer.connection.transaction(isolation="read_committed"):
        (mine,) = await producer.enqueue({"task": "t", "unique_key": "k"})
        enqueue = asyncio.create_task(client.aenqueue("t", unique_key="k"))
        await eventually(lambda: hands.value(WAITS), timeout_s=60)
    found = await enqueue
    assert (found.id, found.duplicate) == (mine["id"], True)


async def test_a_connection_of_the_callers_is_not_tried_again(
    client: Client, hands: Hands, more_hands: Connect
) -> None:
    await refuse(hands, "40001")
    theirs = await more_hands(worker=False)
    with pytest.raises(asyncpg.SerializationError):
        await client.aenqueue("t", connection=theirs.connection)
    assert await hands.value("select last_value from public.refused") == 1
