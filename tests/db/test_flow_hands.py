"""Jobs of flows that somebody changed by hand, or a worker that does not know flows."""

from __future__ import annotations

import asyncio

import pytest
from tests.db.hands import Hands
from tests.db.test_flow_outcomes import release
from tests.db.test_flows import admit, admitted, end, flow, healed, put
from tests.harness.waiting import eventually


async def test_a_slot_that_somebody_deleted_is_found(hands: Hands) -> None:
    """So is one of which a worker that writes no tickets has finished the job."""
    await flow(hands, key_concurrency=1)
    first, second, *_ = await put(hands, "a", "a", "b", "b")
    await admit(hands)
    await admit(hands)
    assert await healed(hands) == 0
    await hands.sql("delete from @.job where id = $1", first)
    assert await healed(hands) == 1
    assert await healed(hands) == 0
    await admit(hands)
    assert await hands.value("select position is not null from @.job where id = $1", second)
    await admit(hands)
    assert await healed(hands) == 0


async def test_the_first_of_a_closed_line_that_somebody_deleted_opens_it(hands: Hands) -> None:
    await flow(hands, ordered=True)
    first, second = await put(hands, "a", "a")
    await admit(hands)
    await hands.claim()
    await release(hands, first, 3600.0)
    await admit(hands)
    assert await healed(hands) == 0
    await hands.sql("delete from @.job where id = $1", first)
    assert await healed(hands) == 1
    await admit(hands)
    assert await hands.value("select id from @.job where position is not null") == second


@pytest.mark.parametrize(
    "pause",
    [
        "insert into @.queue (name, paused_at) values ('q', now())",
        "insert into @.flow_key (flow, key, paused_at) values ('f', 'a', now())",
        "insert into @.flow_key (flow, key, concurrency) values ('f', 'a', 0)",
        "insert into @.flow_key (flow, key, held_until) values ('f', 'a', now() + '1 h'::interval)",
    ],
    ids=["queue", "key", "limit", "break"],
)
async def test_a_line_that_stands_still_for_a_reason_is_left(hands: Hands, pause: str) -> None:
    await flow(hands)
    await hands.sql(pause)
    await put(hands, "a", queue="q")
    await admit(hands)
    assert await admitted(hands) == []
    assert await healed(hands) == 0


async def test_what_an_older_worker_promoted_is_put_back_in_line(hands: Hands) -> None:
    """It gives a position to a job that has no place in line yet."""
    await flow(hands)
    (job,) = await put(hands, "a", delay=3600)
    await hands.sql("update @.job set position = nextval('@.position_seq'), run_at = now()")
    await hands.sql("update @.flow set paused_at = now()")
    assert await hands.value("select @.withdraw('f')") == 1
    await hands.sql("update @.flow set paused_at = null")
    await admit(hands)
    assert await hands.value("select id from @.job where position is not null") == job


async def test_keys_are_forgotten_of_which_nothing_is_said_any_more(hands: Hands) -> None:
    await flow(hands)
    for key in "abc":
        (job,) = await put(hands, key)
        await admit(hands)
        await end(hands, [job], hold=3600.0)
    await admit(hands)
    await hands.sql("update @.flow_key set held_until = now() where key in ('a', 'b')")
    await hands.sql(
        "insert into @.flow_key (flow, key, concurrency, weight, paused_at)"
        " values ('f', 'd', 1, null, null), ('f', 'e', null, 2, null),"
        " ('f', 'g', null, null, now())"
    )
    assert [await hands.value("select @.forget_keys(1)") for _ in range(3)] == [1, 1, 0]
    rows = await hands.sql("select key from @.flow_key order by key")
    assert [row["key"] for row in rows] == ["c", "d", "e", "g"]


async def test_workers_that_declare_a_flow_at_once_note_it_once(
    hands: Hands, producer: Hands
) -> None:
    said = (["f"], ['{"concurrency": 2}'], "w")
    async with hands.connection.transaction():
        assert (await hands.run("declare_flows", *said))[0]["names"] == ["f"]
        second = asyncio.create_task(producer.run("declare_flows", *said))

        async def waits() -> bool:
            pid = producer.connection.get_server_pid()
            return bool(await hands.value("select pg_blocking_pids($1) <> '{}'", pid))

        await eventually(waits)
    assert (await second)[0]["names"] == []
    assert await hands.value("select count(*) from @.audit where action = 'flow.declare'") == 1
