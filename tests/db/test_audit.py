"""What is noted of changes is kept for 400 days, and deleted a batch at a time."""

from __future__ import annotations

import json

import asyncpg
from tests.db.hands import Hands

WRITE = (
    "insert into @.audit (at, actor, via, action, target)"
    " select now() - make_interval(days => $1::int), 'a', 'cli', n::text, '{}'"
    " from generate_series(1, $2::int) n"
)


async def left(hands: Hands) -> int:
    return int(await hands.value("select count(*) from @.audit"))


async def test_only_what_is_older_than_400_days_is_deleted(hands: Hands) -> None:
    for days in (0, 399, 401, 4_000):
        await hands.sql(WRITE, days, 10)
    (answer,) = await hands.run("drop_audit", 1_000)
    assert answer["dropped"] == 20
    assert await hands.value("select min(at) > now() - '400 days'::interval from @.audit")
    assert await left(hands) == 20


async def test_a_statement_deletes_a_batch_the_oldest_first(hands: Hands) -> None:
    await hands.sql(WRITE, 500, 10)
    await hands.sql(WRITE, 900, 10)
    assert [(await hands.run("drop_audit", 8))[0]["dropped"] for _ in range(2)] == [8, 8]
    assert await hands.value("select min(at) > now() - '800 days'::interval from @.audit")
    assert await left(hands) == 4


async def test_rows_that_another_deletes_are_not_waited_for(hands: Hands, dsn: str) -> None:
    await hands.sql(WRITE, 500, 10)
    other = await asyncpg.connect(dsn)
    try:
        await other.execute("begin")
        assert await other.fetchval(hands.text("select @.drop_audit(6)")) == 6
        assert (await hands.run("drop_audit", 100))[0]["dropped"] == 4
        await other.execute("rollback")
    finally:
        await other.close()
    assert (await hands.run("drop_audit", 100))[0]["dropped"] == 6


async def test_it_reads_no_more_of_a_large_table(hands: Hands) -> None:
    """Also where the planner knows nothing of it."""
    await hands.sql("alter table @.audit set (autovacuum_enabled = off)")
    await hands.sql(WRITE, 10, 30_000)
    await hands.sql(WRITE, 500, 5)
    await hands.sql("vacuum @.audit")
    await hands.run("drop_audit", 0)  # the catalogue is read once
    (row,) = await hands.sql("explain (analyze, buffers, format json) select @.drop_audit(1000)")
    plan = json.loads(row[0])[0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 100
    assert await left(hands) == 30_000
