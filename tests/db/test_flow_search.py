"""Which flows have something to look at, and how little is read to know that."""

from __future__ import annotations

import json

import pytest
from tests.db.hands import Hands
from tests.db.test_flows import admit, end, flow, put
from tests.db.test_plans import STATES, executed, explained


async def found(
    hands: Hands, floors: dict[str, int] | None = None, *, lines: bool = False, server: bool = True
) -> list[str]:
    since = await hands.value("select pg_postmaster_start_time()") if server else None
    told = {name: (ticket, "0001-01-02T00:00:00+00:00") for name, ticket in (floors or {}).items()}
    rows = await hands.run("find_ticketed_flows", json.dumps(told), since, lines)
    return sorted(row[0] for row in rows)


async def known(hands: Hands, *names: str) -> None:
    await hands.sql("insert into @.flow (name) select unnest($1::text[])", list(names))


async def ticket(hands: Hands, *names: str) -> None:
    await hands.sql("insert into @.ticket (flow, key) select unnest($1::text[]), ''", list(names))


async def test_flows_with_tickets_are_found_whether_they_are_known_or_not(hands: Hands) -> None:
    assert await found(hands) == []
    await ticket(hands, "m", "m")
    assert await found(hands) == ["m"]
    await known(hands, "b", "d", "f")
    assert await found(hands) == ["m"]
    await ticket(hands, "a", "c", "d", "e", "z")
    # Of strangers between two that are known the first; the others once that one is known.
    assert await found(hands) == ["a", "c", "d", "e", "m"]
    await known(hands, "m")
    assert await found(hands) == ["a", "c", "d", "e", "m", "z"]


async def test_below_a_floor_nothing_is_looked_for_but_on_another_server(hands: Hands) -> None:
    await known(hands, "f")
    await ticket(hands, "f")
    newest = await hands.value("select max(id) from @.ticket")
    assert await found(hands, {"f": newest - 1}) == ["f"]
    assert await found(hands, {"f": newest}) == []
    assert await found(hands, {"f": newest}, server=False) == ["f"]
    assert await found(hands, {"other": newest}) == ["f"]


async def test_lines_whose_turn_it_is_are_found_where_they_are_asked_for(hands: Hands) -> None:
    await flow(hands, concurrency=1)
    first, _ = await put(hands, "a", "b")
    await admit(hands)
    assert await found(hands) == []
    assert await found(hands, lines=True) == ["f"]
    await hands.sql("update @.flow set paused_at = now()")
    assert await found(hands, lines=True) == []
    await hands.sql("update @.flow set paused_at = null")
    await end(hands, [first])
    await admit(hands)
    assert await found(hands, lines=True) == []


async def test_keys_at_their_limits_are_not_found(hands: Hands) -> None:
    """Else fleets at rest would look at them for ever."""
    await flow(hands, key_concurrency=1)
    await put(hands, *"aabbcc")
    await admit(hands)
    await admit(hands)
    assert await found(hands, lines=True) == []


@pytest.mark.parametrize("state", STATES)
async def test_a_search_probes_indexes(hands: Hands, state: str) -> None:
    if state == "vacuumed empty":
        await hands.sql("vacuum analyze @.ticket")
        await hands.sql("vacuum analyze @.line")
    if state.startswith("full"):
        await hands.sql(
            "insert into @.flow (name) select 'f' || n from generate_series(1, 200) as n"
        )
        await hands.sql(
            "insert into @.ticket (flow, key)"
            " select 'f' || n % 200, '' from generate_series(1, 5000) as n"
        )
        for table in ("flow", "ticket", "line"):
            await hands.sql(f"vacuum analyze @.{table}")
    if state.endswith("statistics"):
        await hands.sql("delete from @.ticket")
    for node in await explained(hands, "find_ticketed_flows"):
        table = node.get("Relation Name")
        assert table not in ("ticket", "line") or node["Node Type"].startswith("Index"), node
        assert table not in ("ticket", "line") or "flow" in node["Index Cond"], node


async def test_a_search_reads_few_tickets_though_there_are_many(hands: Hands) -> None:
    await known(hands, *(f"f{n}" for n in range(50)))
    await hands.sql(
        "insert into @.ticket (flow, key)"
        " select 'f' || n % 50, n::text from generate_series(1, 20000) as n"
    )
    seen = await executed(hands, "find_ticketed_flows", "'{}'", "null", "true")
    rows = sum(
        node["Actual Rows"] * node["Actual Loops"]
        for node in seen.nodes
        if node.get("Relation Name") == "ticket"
    )
    assert rows <= 101
    assert seen.buffers < 1_000


async def idle(hands: Hands, *, queue: str = "default") -> bool:
    return (await hands.run("is_idle", [queue], ["t"]))[0]["idle"]


async def test_it_is_not_idle_while_a_job_in_line_may_run(hands: Hands) -> None:
    await flow(hands, concurrency=1)
    first, second = await put(hands, "a", "b")
    assert not await idle(hands)  # there are tickets
    await admit(hands)
    assert not await idle(hands)  # one is ready
    await end(hands, [first])
    await hands.sql("delete from @.ticket")
    assert not await idle(hands)  # the turn of the other one has come
    assert await idle(hands, queue="other")
    await hands.sql("update @.flow set paused_at = now()")
    assert await idle(hands)
    await hands.sql("update @.flow set paused_at = null")
    await admit(hands)
    await end(hands, [second])
    await admit(hands)
    assert await idle(hands)


async def test_what_an_admission_answers_comes_with_the_start_of_the_server(hands: Hands) -> None:
    await flow(hands, concurrency=5)
    await put(hands, "a", "b")
    since = await hands.value("select pg_postmaster_start_time()")
    ever = await hands.value("select '0001-01-02'::timestamptz")
    (row,) = await hands.run("admit_jobs", "f", 1, 0, 0, ever, None)
    assert (row["admitted"], row["server"], row["queues"]) == (1, since, ["default"])
    # Floors of this server are believed, those of another one are not.
    high = 2**62
    (row,) = await hands.run("admit_jobs", "f", 10, 0, high, ever, since)
    assert row["admitted"] == 1
    await put(hands, "c")
    (row,) = await hands.run("admit_jobs", "f", 10, 0, high, ever, since)
    assert row["admitted"] == 0
    (row,) = await hands.run("admit_jobs", "f", 10, 0, high, ever, None)
    assert row["admitted"] == 1
    assert row["queues"] == ["default"]
