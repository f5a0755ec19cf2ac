"""What outcomes and operators do to jobs of flows: slots, places in line, tickets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.db.hands import Hands
from tests.db.test_flows import admit, flow, healed, put

ERROR = json.dumps({"type": "ValueError", "message": "no", "traceback": ""})


async def run_all(hands: Hands) -> list[int]:
    """Claim what is ready; return the ids."""
    return [row["id"] for row in await hands.claim()]


async def tickets(hands: Hands) -> list[tuple[Any, ...]]:
    """Key, rank, used and weight of each, and whether it holds something."""
    rows = await hands.sql(
        "select key, rank, used, weight, held_until > now() as held, holds_flow"
        " from @.ticket order by id"
    )
    return [tuple(row) for row in rows]


async def forget_tickets(hands: Hands) -> None:
    await hands.sql("delete from @.ticket")


async def finish(
    hands: Hands, *ids: int, state: str = "completed", used: float | None = None
) -> Any:
    tokens = [hands.token] * len(ids)
    rows = await hands.run("finish_flow_jobs", ids, tokens, state, [used] * len(ids))
    return rows[0][0]


async def release(
    hands: Hands,
    job: int,
    delay: float | None,
    *,
    used: float | None = None,
    held: float | None = None,
    holds_flow: bool = False,
) -> list[int]:
    rows = await hands.run(
        "release_flow_jobs", [job], [hands.token], [delay], [0], [ERROR], 20, [used], [held],
        [holds_flow],
    )  # fmt: skip
    return [row["id"] for row in rows]


async def bury(hands: Hands, *ids: int, used: float | None = None) -> list[tuple[Any, ...]]:
    tokens = [hands.token] * len(ids)
    n = len(ids)
    rows = await hands.run(
        "bury_flow_jobs", ids, tokens, ["it failed"] * n, [ERROR] * n, 20, [used] * n
    )
    return [tuple(row) for row in rows]


async def promote(hands: Hands) -> list[Any]:
    return await hands.run(
        "promote_jobs", 100, await hands.value("select '-infinity'::timestamptz")
    )


@pytest.mark.parametrize("state", ["completed", "cancelled"])
async def test_what_ends_leaves_a_ticket_and_goes_with_its_flow(hands: Hands, state: str) -> None:
    await flow(hands, key_concurrency=1)
    a, _ = await put(hands, "a", "a", weight=3)
    await admit(hands)
    assert await run_all(hands) == [a]
    assert await tickets(hands) == []
    assert await finish(hands, a, state=state) is None
    assert await tickets(hands) == [("a", None, None, None, None, None)]
    (kept,) = await hands.sql("select flow, flow_key, weight, state from @.history")
    assert tuple(kept) == ("f", "a", 3, state)
    assert (await admit(hands))["admitted"] == 1
    assert await healed(hands) == 0


async def test_one_ticket_for_a_key_and_one_more_for_each_that_says_what_it_used(
    hands: Hands,
) -> None:
    await flow(hands)
    ids = await put(hands, "a", "a", "b", weight=2)
    await admit(hands)
    await run_all(hands)
    assert await finish(hands, *ids, used=None) is None
    assert sorted(await tickets(hands)) == [("a",) + (None,) * 5, ("b",) + (None,) * 5]
    await forget_tickets(hands)
    ids = await put(hands, "a", "a")
    await admit(hands)
    await run_all(hands)
    await finish(hands, *ids, used=812)
    assert await tickets(hands) == [("a", None, 812, 1, None, None)] * 2
    await admit(hands)
    assert await hands.value("select used from @.flow_usage") == 1624


async def test_a_bad_receipt_writes_no_ticket(hands: Hands) -> None:
    await flow(hands)
    (job,) = await put(hands, "a")
    await admit(hands)
    await run_all(hands)
    hands.token += 1
    assert await finish(hands, job) == []
    assert await release(hands, job, 1.0) == []
    assert await bury(hands, job) == []
    assert await tickets(hands) == []
    assert await hands.value(
        "select count(*) from @.job where position is not null and worker_id is not null"
    )


async def test_a_job_without_a_flow_may_be_among_them(hands: Hands) -> None:
    await hands.enqueue({"task": "t"}, {"task": "t"}, {"task": "t"})
    a, b, c = await run_all(hands)
    assert await finish(hands, a) is None
    assert await release(hands, b, 60.0) == [b]
    assert await bury(hands, c) == [(c, None, None)]
    assert await tickets(hands) == []


async def test_a_retry_leaves_its_slot_and_keeps_its_place(hands: Hands) -> None:
    await flow(hands, key_concurrency=1)
    first, second = await put(hands, "a", "a")
    rank = (await hands.live(first) or {})["rank"]
    await admit(hands)
    await run_all(hands)
    assert await release(hands, first, 0.0) == [first]
    row = await hands.live(first) or {}
    assert row["position"] is None
    assert row["rank"] == -rank
    assert await tickets(hands) == [("a", None, None, None, None, False)]
    assert (await admit(hands))["admitted"] == 1
    assert await run_all(hands) == [second]
    assert [row["flow"] for row in await promote(hands)] == ["f"]
    row = await hands.live(first) or {}
    assert (row["rank"], row["position"]) == (rank, None)
    assert await hands.state(first) == "blocked"
    assert (await admit(hands))["admitted"] == 0
    await finish(hands, second)
    assert (await admit(hands))["admitted"] == 1
    assert await run_all(hands) == [first]
    assert await healed(hands) == 0


async def test_what_was_not_begun_keeps_its_slot(hands: Hands) -> None:
    await flow(hands, concurrency=1)
    first, _ = await put(hands, "a", "b")
    await admit(hands)
    await run_all(hands)
    assert await release(hands, first, None) == [first]
    assert await tickets(hands) == []
    assert (await admit(hands))["admitted"] == 0
    assert await run_all(hands) == [first]


async def test_the_line_of_an_ordered_flow_is_closed_during_a_retry(hands: Hands) -> None:
    await flow(hands, ordered=True)
    first, second, other = await put(hands, "a", "a", "b")
    await admit(hands)
    assert sorted(await run_all(hands)) == [first, other]
    await release(hands, first, 0.0)
    rank = (await hands.live(first) or {})["rank"]
    assert rank > 0
    assert await tickets(hands) == [("a", rank, None, None, None, False)]
    for _ in range(3):
        assert (await admit(hands))["admitted"] == 0
    await promote(hands)
    assert (await admit(hands))["admitted"] == 1
    assert await run_all(hands) == [first]
    await finish(hands, first)
    await admit(hands)
    assert await run_all(hands) == [second]
    assert await healed(hands) == 0


async def test_a_break_that_a_job_asks_for_comes_with_its_ticket(hands: Hands) -> None:
    await flow(hands)
    first, _, _ = await put(hands, "a", "a", "b")
    await admit(hands, 1)
    await run_all(hands)
    await release(hands, first, 60.0, used=5, held=3600)
    assert await tickets(hands) == [("a", None, 5, 1, True, False)]
    await admit(hands)
    (row,) = await hands.claim()
    assert (await hands.live(row["id"]) or {})["flow_key"] == "b"
    await release(hands, row["id"], 60.0, held=3600, holds_flow=True)
    answer = await admit(hands)
    assert answer["admitted"] == 0
    assert answer["wait"] > 3500


@pytest.mark.parametrize(
    ("settings", "halts"),
    [
        ({}, False),
        ({"ordered": True}, True),
        ({"ordered": True, "on_dead": "halt"}, True),
        ({"ordered": True, "on_dead": "skip"}, False),
    ],
)
async def test_a_dead_job_stops_its_key_where_order_matters(
    hands: Hands, settings: dict[str, Any], halts: bool
) -> None:
    await flow(hands, **settings, key_concurrency=1)
    first, second, other = await put(hands, "a", "a", "b")
    await admit(hands)
    await run_all(hands)
    rank = (await hands.live(first) or {})["rank"]
    assert await bury(hands, first) == [(first, None, None), *[(None, "f", "a")] * halts]
    assert (await admit(hands))["admitted"] == (0 if halts else 1)
    found = await hands.sql("select pause_reason from @.flow_key where paused_at is not null")
    assert [row[0] for row in found] == [f"job {first} is dead"] * halts
    assert await hands.value("select rank from @.dead") == rank
    if halts:
        # An operator has it run again, at its old place, and lets the key go on.
        assert [tuple(r) for r in await hands.run("redrive_jobs", [first])] == [
            (first, "default", "f")
        ]
        await hands.sql("update @.flow_key set paused_at = null")
        await admit(hands)
        assert await run_all(hands) == [first]
        await finish(hands, first)
        await admit(hands)
        assert await run_all(hands) == [second]
    assert other


async def test_a_dead_job_of_a_key_that_an_operator_paused_leaves_that_as_it_is(
    hands: Hands,
) -> None:
    await flow(hands, ordered=True)
    (job,) = await put(hands, "a")
    await admit(hands)
    await run_all(hands)
    await hands.sql(
        "insert into @.flow_key (flow, key, paused_at, pause_reason)"
        " values ('f', 'a', '2026-01-01', 'audit')"
    )
    assert await bury(hands, job) == [(job, None, None)]
    row = (
        await hands.sql("select pause_reason, paused_at < now() - '1 d'::interval from @.flow_key")
    )[0]
    assert tuple(row) == ("audit", True)


async def test_what_is_redriven_or_revived_comes_in_line(hands: Hands) -> None:
    await flow(hands, key_concurrency=1)
    first, second, third = await put(hands, "a", "b", "a")
    await admit(hands)
    await run_all(hands)
    await bury(hands, first)
    await finish(hands, second, state="cancelled")
    await admit(hands)
    await forget_tickets(hands)
    (dead,) = await hands.run("redrive_jobs", [first])
    (cancelled,) = await hands.run("revive_jobs", [second])
    assert [tuple(dead), tuple(cancelled)] == [(first, "default", "f"), (second, "default", "f")]
    assert [await hands.state(job) for job in (first, second)] == ["blocked", "blocked"]
    ranks = [(await hands.live(job) or {})["rank"] for job in (third, first, second)]
    assert ranks == sorted(ranks)
    assert [(key, rank) for key, rank, *_ in await tickets(hands)] == [
        ("a", ranks[1]), ("b", ranks[2])
    ]  # fmt: skip
    assert (await admit(hands))["admitted"] == 1  # of "b"; the slot of "a" is taken


async def test_a_job_for_later_comes_in_line_once_it_is_due(hands: Hands) -> None:
    await flow(hands, concurrency=1)
    late, later = await put(hands, "a", "a", delay=3600)
    assert await hands.state(late) == "scheduled"
    assert await tickets(hands) == []
    (row,) = await hands.run("ready_jobs", [later])
    assert tuple(row) == (later, "default", "f")
    assert await hands.state(later) == "blocked"
    await hands.sql("update @.job set run_at = now() where id = $1", late)
    rows = await promote(hands)
    assert [(row["queue"], row["flow"]) for row in rows] == [("default", "f")]
    assert await hands.value("select now() - $1 < interval '1 min'", rows[0]["run_at"])
    await admit(hands)
    assert await run_all(hands) == [later]
    assert await healed(hands) == 0


async def test_a_cancel_frees_a_slot_and_opens_a_line(hands: Hands) -> None:
    await flow(hands, ordered=True)
    first, second, _ = await put(hands, "a", "a", "a")
    await admit(hands)
    (row,) = await hands.run("cancel_jobs", [first])
    assert (row["queue"], row["flow"]) == ("default", "f")
    assert (await admit(hands))["admitted"] == 1
    assert await run_all(hands) == [second]
    await release(hands, second, 3600.0)
    assert (await admit(hands))["admitted"] == 0
    await hands.run("cancel_jobs", [second])
    assert (await admit(hands))["admitted"] == 1
    assert await healed(hands) == 0


async def test_a_rescued_job_keeps_its_slot_and_a_dead_one_stops_its_key(hands: Hands) -> None:
    await flow(hands, ordered=True)
    kept, killer = await put(hands, "a", "b")
    await put(hands, "a", "b")
    await admit(hands)
    await run_all(hands)
    await hands.sql("update @.job set crash_count = 2, quarantined = true where id = $1", killer)
    fates = await hands.rescue(hands.id, begun=[(killer, hands.token)])
    assert fates == {kept: "rescued", killer: "dead", None: "halted"}
    assert [key for key, *_ in await tickets(hands)] == ["b"]
    assert (await admit(hands))["admitted"] == 0
    assert await hands.value("select key from @.flow_key where paused_at is not null") == "b"
    assert await run_all(hands) == [kept]
    assert await healed(hands) == 0


async def test_what_a_rescue_cannot_move_leaves_its_slot(hands: Hands) -> None:
    await flow(hands, key_concurrency=1)
    killer, _ = await put(hands, "a", "a")
    await admit(hands)
    await admit(hands)  # from here on the line waits for a ticket
    await run_all(hands)
    await hands.sql("update @.job set crash_count = 2, quarantined = true where id = $1", killer)
    await hands.rescue(hands.id, begun=[(killer, hands.token)], move=False)
    row = await hands.live(killer) or {}
    assert row["position"] is None
    assert row["rank"] < 0
    assert (await admit(hands))["admitted"] == 1


@pytest.mark.parametrize("whole", [True, False])
async def test_a_damaged_row_leaves_a_ticket_too(hands: Hands, whole: bool) -> None:
    await flow(hands, ordered=True)
    first, second = await put(hands, "a", "b")
    await admit(hands)
    await run_all(hands)
    await hands.run("finish_damaged", first, hands.token, "completed", ERROR, whole)
    await hands.run("bury_damaged", second, hands.token, "no", ERROR, whole)
    assert [key for key, *_ in await tickets(hands)] == ["a", "b"]
    assert await hands.value("select flow_key from @.history") == "a"
    assert await hands.value("select flow_key from @.dead where rank is not null") == "b"
    assert await hands.value("select key from @.flow_key where paused_at is not null") == "b"


async def test_a_transaction_of_the_handlers_leaves_a_ticket_with_its_commit(
    hands: Hands, producer: Hands
) -> None:
    await flow(hands, concurrency=1)
    first, _ = await put(hands, "a", "b")
    await admit(hands)
    await run_all(hands)
    async with producer.connection.transaction():
        ((done,),) = await producer.run("complete_flow_job", first, hands.token, 7.0)
        assert done == 1
        assert await tickets(hands) == []
        assert (await admit(hands))["admitted"] == 0
    assert await tickets(hands) == [("a", None, 7.0, 1, None, None)]
    assert (await admit(hands))["admitted"] == 1
