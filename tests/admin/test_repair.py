"""What a restore or TRUNCATE takes away is shown by ``status`` and repaired by ``migrate``."""

from __future__ import annotations

from typing import Any

import pytest

from pgqueue.admin.repair import damage_of
from pgqueue.client import Client
from tests.admin.conftest import Session, add

TODAY = "to_char(now() at time zone 'UTC', 'YYYYMMDD')"
# What is done to the schema -> what is said of it.
DAMAGE = {
    "truncate pgqueue.duty": [
        'duty "depth" has no row',
        'duty "history" has no row',
        'duty "lines" has no row',
        'duty "orphans" has no row',
        'duty "retention" has no row',
        'duty "vacuum" has no row',
    ],
    "delete from pgqueue.duty where name = 'orphans'": ['duty "orphans" has no row'],
    "truncate pgqueue.queue": ['queue "default", which a worker serves, has no row'],
    "truncate pgqueue.migration": ["migration has no rows"],
    "truncate pgqueue.home": ["home has no row"],
    "alter sequence pgqueue.job_id_seq restart": ["the sequence of ids is behind"],
    "alter sequence pgqueue.position_seq restart": ["the sequence of positions is behind"],
    f"do $$ begin execute 'drop table pgqueue.history_' || {TODAY}; end $$": [
        "history has no partition for "
    ],
}


@pytest.fixture
async def at_work(client: Client, other: Session) -> Session:
    """A schema with a worker, three jobs that wait and one that is done."""
    await other.serve("default")
    await add(client, 4)
    (first,) = await other.claim(limit=1)
    await other.finish(first)
    return other


@pytest.mark.parametrize("harm", DAMAGE)
async def test_damage_is_shown_and_repaired(client: Client, at_work: Session, harm: str) -> None:
    assert (await client.astatus()).damage == ()
    await at_work.sql(harm)
    status = await client.astatus()
    schema = await client.aschema_status()
    assert len(status.damage) == len(DAMAGE[harm])
    for said, start in zip(status.damage, DAMAGE[harm], strict=True):
        assert said.startswith(start)
    assert (schema.ok, schema.damage) == (True, status.damage)
    assert await client.amigrate() == []
    assert (await client.astatus()).damage == ()


async def test_what_was_repaired_works(client: Client, at_work: Session) -> None:
    """All at once: jobs get ids and positions behind those that are there, and are finished."""
    before = await at_work.value("select max(id) from pgqueue.jobs")
    newest = await at_work.value("select max(position) from pgqueue.job")
    for harm in DAMAGE:
        await at_work.sql(harm)
    await client.amigrate()
    (fresh,) = await add(client)
    assert fresh == before + 1
    assert (await at_work.live(fresh))["position"] == newest + 1
    ids = await at_work.claim()
    assert len(ids) == 4
    assert await at_work.finish(*ids) is None
    assert await at_work.sql("select from pgqueue.queue where name = 'default'")
    duties = await at_work.sql("select name from pgqueue.duty where due_at <= now() order by 1")
    assert [row["name"] for row in duties] == [
        "depth", "history", "lines", "orphans", "retention", "vacuum",
    ]  # fmt: skip
    assert (await client.astatus()).damage == ()


async def test_sequences_that_are_ahead_stay_where_they_are(
    client: Client, at_work: Session
) -> None:
    await at_work.sql("alter sequence pgqueue.job_id_seq restart 500")
    await at_work.sql("truncate pgqueue.duty")
    await client.amigrate()
    assert await add(client) == [500]


async def test_who_may_not_look_for_damage_migrates_all_the_same(dsn: str, other: Session) -> None:
    """As a producer that calls ``migrate`` when it starts."""
    await other.sql("truncate pgqueue.duty")
    await other.sql("create role harmless")
    try:
        await other.sql("grant usage on schema pgqueue to harmless")
        await other.sql("grant select on pgqueue.migration to harmless")
        mark = "&" if "?" in dsn else "?"
        async with Client(f"{dsn}{mark}options=-c%20role%3Dharmless") as client:
            assert await client.amigrate() == []
            assert (await client.aschema_status()).damage == ()
    finally:
        await other.sql("drop owned by harmless")
        await other.sql("drop role harmless")


def test_nothing_missing_is_no_damage() -> None:
    row: dict[str, Any] = dict.fromkeys(
        ("ids_behind", "positions_behind", "unrecorded", "homeless")
    )
    assert damage_of({"duties": [], "queues": [], "days": [], **row}) == ()
    told = damage_of({"duties": ["history"], "queues": ["a\nb"], "days": ["2026-11-29"], **row})
    assert len(told) == 3
