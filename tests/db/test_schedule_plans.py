"""The statements of schedules read as few rows of a large table as of a small one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.db.hands import Hands
from tests.db.test_plans import explained

# Statement -> index, and what it probes by, for each scan of schedule.
PROBES = {
    "find_slots": [("schedule_due", "")],
    "renew_lease": [("schedule_due", "")],
    "fire_slots": [("schedule_pkey", "name = ANY"), ("schedule_pkey", "name = asked")],
    "read_schedules": [("schedule_pkey", "name = ANY")],
    "write_schedule": [("schedule_pkey", "name = ")],
}
STATES = ["never analysed", "vacuumed empty", "full"]


async def fill(hands: Hands, count: int) -> None:
    await hands.sql(
        "insert into @.schedule (name, next_at, changed)"
        " select 's' || n, now() - interval '1 minute', '{}' from generate_series(1, $1::int) n",
        count,
    )


@pytest.mark.parametrize("state", STATES)
async def test_each_probes_an_index(hands: Hands, state: str) -> None:
    await hands.sql("alter table @.schedule set (autovacuum_enabled = off)")
    if state == "full":
        await fill(hands, 20_000)
    if state != "never analysed":
        await hands.sql("vacuum analyze @.schedule")
    for name, probes in PROBES.items():
        plan = await explained(hands, name)
        found = [
            (node.get("Index Name"), node.get("Index Cond", ""))
            for node in plan
            if node.get("Relation Name") == "schedule" and "Scan" in node["Node Type"]
        ]
        assert len(found) == len(probes), (name, found)
        for (index, condition), (wanted, by) in zip(sorted(found), probes, strict=True):
            assert index == wanted, (name, index)
            assert by in condition, (name, condition)


async def test_a_fire_reads_the_rows_that_it_fires(hands: Hands) -> None:
    await hands.sql("alter table @.schedule set (autovacuum_enabled = off)")
    await fill(hands, 5_000)
    before = await rows_read(hands)
    rows = await hands.run("find_slots", [], [], 20)
    fired = await hands.run(
        "fire_slots", [row["name"] for row in rows], [row["next_at"] for row in rows],
        [row["revision"] for row in rows], [row["next_at"] + timedelta(hours=1) for row in rows],
        ["[]" for _ in rows],
    )  # fmt: skip
    assert [row["name"] for row in fired] == sorted(row["name"] for row in rows)
    assert await hands.value("select count(*) from @.schedule where next_at > now()") == 20
    assert await rows_read(hands) - before < 200 + 5_000  # the count reads all


async def rows_read(hands: Hands) -> int:
    await hands.sql("select pg_stat_force_next_flush()")
    await hands.sql("select 1")
    return await hands.value(
        "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables"
        " where relid = '@.schedule'::regclass"
    )
