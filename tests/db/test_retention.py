"""Days past retention are detached, then dropped: nobody waits, and interruptions do no harm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import asyncpg
import pytest
from tests.db.hands import Hands
from tests.db.test_history import DAY, aged, done, partitions
from tests.harness.waiting import eventually

from pgqueue.db.link import Link
from pgqueue.db.store import Store
from pgqueue.db.watch import Watch
from pgqueue.errors import PgQueueError
from pgqueue.worker.fleet.duties import Duties
from pgqueue.worker.timings import DutyTimings

TABLES = (
    "select array_agg(relname::text) from pg_class"
    " where relnamespace = '@'::regnamespace and relname ~ '^history_[0-9]{8}$' and relkind = 'r'"
)
WAITS = (
    "select count(*) from pg_stat_activity where application_name = 'pgqueue upkeep'"
    " and datname = current_database() and wait_event_type = 'Lock'"
)
PENDING = "select array_agg(inhrelid::regclass::text) from pg_inherits where inhdetachpending"
Retention = Callable[[], Awaitable[bool]]


@pytest.fixture
async def line(dsn: str) -> AsyncIterator[Link]:
    line = Link(dsn, role="upkeep", watch=Watch(), deadline=60.0, pooled=False)
    yield line
    await line.close()


@pytest.fixture
async def retention(dsn: str, line: Link) -> AsyncIterator[Retention]:
    """The duty, with nine days to keep."""
    link = Link(dsn, role="duties", watch=Watch(), deadline=60.0, pooled=False)
    duties = Duties(
        Store(link, "pgqueue"), Store(line, "pgqueue"), hold=15.0, retention=9 * DAY,
        rescuer=cast("Any", _Nobody()), timings=DutyTimings(),
    )  # fmt: skip
    yield duties.table["retention"][1]
    await link.close()


class _Nobody:
    async def rescue_orphans(self) -> bool:
        return True


async def test_a_reader_is_not_waited_for_and_the_detach_is_finalized_later(
    hands: Hands, producer: Hands, line: Link, retention: Retention
) -> None:
    old = [await aged(hands, days) for days in (40, 50)]
    reading = producer.connection.transaction()
    await reading.start()
    assert await producer.count("history") == 2

    # It waits for the reader, and completions do not wait for it.
    waiting = asyncio.ensure_future(retention())
    await eventually(lambda: hands.value(WAITS))
    job = await done(hands)
    assert await producer.count("history") == 3
    with pytest.raises(PgQueueError):
        await waiting
    assert await hands.value(PENDING) == [f"pgqueue.{old[1]}"]
    assert await hands.state(job) == "completed"
    await hands.sql("select @.ensure_history(8)")

    with pytest.raises(PgQueueError):
        await retention()
    await reading.rollback()
    assert await retention()
    assert not {*old} & {*await hands.value(TABLES)}
    assert await hands.state(job) == "completed"


async def test_who_dies_after_the_detach_leaves_the_drop_to_others(
    hands: Hands, line: Link, retention: Retention
) -> None:
    """What somebody else detached, to keep it, stays."""
    kept, left = await aged(hands, 60), await aged(hands, 50)
    await hands.sql(f"alter table @.history detach partition @.{kept}")
    store = Store(line, "pgqueue")
    while (change := await store.next_detach(9 * DAY)) is not None:
        await store.detach(change)
    assert left not in await partitions(hands)
    assert left in await hands.value(TABLES)
    assert await retention()
    assert left not in await hands.value(TABLES)
    assert kept in await hands.value(TABLES)


async def test_who_does_not_own_them_drops_what_was_left_half_detached(
    hands: Hands, producer: Hands, line: Link, retention: Retention
) -> None:
    name = await aged(hands, 50)
    await line.fetch("set lock_timeout = '20ms'")
    async with producer.connection.transaction():
        await producer.count("history")
        with pytest.raises(PgQueueError):
            await retention()
        assert await hands.value(PENDING) == [f"pgqueue.{name}"]
        await hands.sql("alter function @.drop_history set lock_timeout = '20ms'")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await hands.run("drop_history", 9 * DAY, None)
    assert (await hands.run("drop_history", 9 * DAY, None))[0]["dropped"] == 1
    assert name not in await hands.value(TABLES)
