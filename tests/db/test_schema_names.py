"""Everything works in a schema of any name, and in several of one database."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from tests.db.conftest import Connect

from pgqueue.client import Client
from pgqueue.db.migrate import migrate

NAMES = [
    "we\"ird 'na:me %s $1 {x}",
    "x" * 63,
    "X" * 63,
    'q"' * 31,
    "ä" * 31,
    "back\\slash",
    "select",
    ":x",
    "$body",
    "$$",
    "--",
    " ",
    "history",
]


@pytest.mark.parametrize("schema", NAMES)
async def test_a_job_from_end_to_end(dsn: str, more_hands: Connect, schema: str) -> None:
    assert await migrate(dsn, schema)
    assert await migrate(dsn, schema) == []
    async with Client(dsn, schema=schema) as client:
        first = await client.aenqueue("t", {"n": 1}, unique_key="k", tags=["a"])
        again = await client.aenqueue("t", unique_key="k")
        assert (again.id, again.duplicate) == (first.id, True)
        later = await client.aenqueue("t", delay=60)
    hands = await more_hands(schema)
    await hands.register("default")
    await hands.run("raise_flags", ["default"])
    (row,) = await hands.claim()
    assert (row["id"], json.loads(row["args"])) == (first.id, {"n": 1})
    await hands.run("quarantine_job", row["id"], hands.token, None, None)
    assert await hands.rescue(hands.id) == {row["id"]: "rescued"}
    await hands.claim()
    assert await hands.finish(row["id"]) == [row["id"]]
    await hands.sql("update @.job set run_at = now()")
    since = await hands.value("select now()") - timedelta(hours=1)
    assert len(await hands.run("promote_jobs", 10, since)) == 1
    (row,) = await hands.claim()
    assert row["id"] == later.id
    assert await hands.bury(row["id"]) == [row["id"]]
    assert len(await hands.run("redrive_jobs", [row["id"]])) == 1
    rows = await hands.run("find_stragglers", ["default"], [2**60] * 10, ["t"], 0)
    assert len(rows) == 2
    await hands.run(
        "renew_lease", hands.id, 0, False, None, None, True, 60.0, since, 0, 15, True, True
    )
    await hands.run("wake_queues", ["default"])
    await hands.run("ensure_history")
    assert (await hands.run("drop_history", 0.0, None))[0]["dropped"] == 1
    assert await hands.state(first.id) == "completed"


async def test_schemas_do_not_see_each_other(dsn: str, more_hands: Connect) -> None:
    await migrate(dsn, "other")
    here, there = await more_hands(), await more_hands("other")
    for hands in (here, there):
        await hands.serve("default")
        await hands.enqueue({"task": "t", "unique_key": "k"})
    (row,) = await here.claim()
    assert await there.finish(row["id"], token=here.token) == []
    assert await there.rescue(here.id) == {}
    assert len(await there.claim()) == 1
    assert await here.finish(row["id"]) == [row["id"]]
    assert await there.count("history") == 0
