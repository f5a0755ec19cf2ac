"""Each statement of the worker has one plan, whatever the statistics say.

The generic plan is asked for in a session with a worker's settings: of a table that was never
analysed, one that was vacuumed while it was empty, and a full one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.db.conftest import Connect
from tests.db.hands import Hands

from pgqueue.db.statements import statement

# Statement -> what each of its scans of job must probe by, at least.
PROBES = {
    "claim_jobs": ["queue.* = .* AND .*priority.* = .* AND .*position.* > ", "ctid"],
    "finish_jobs": ["id = ANY"],
    "finish_flow_jobs": ["id = ANY"],
    "complete_job": ["id = "],
    "complete_flow_job": ["id = "],
    "complete_own_job": ["id = "],
    "complete_own_flow_job": ["id = "],
    "release_jobs": ["id = ANY"],
    "release_flow_jobs": ["id = ANY"],
    "bury_jobs": ["id = ANY"],
    "bury_flow_jobs": ["id = ANY"],
    "bury_damaged": ["id = "],
    "finish_damaged": ["id = "],
    "promote_jobs": ["run_at >= .* AND .*run_at <= ", "ctid"],
    "next_due": ["run_at >= .* AND .*run_at < "],
    "renew_lease": ["run_at >= .* AND .*run_at < ", "job_cancel"],
    "find_held": ["queue.* = .* AND .*priority.* = .* AND .*position.* > "],
    "find_stragglers": ["queue.* = .* AND .*priority.* = .* AND .*position.* > "],
    "quarantine_job": ["id = "],
    "hold_job": ["id = "],
    "count_misfits": ["id = "],
    "cancel_jobs": ["id = "],
    "ready_jobs": ["id = "],
    "find_finished": [],
    "find_unknown_tasks": ["queue.* = "],
    "find_served": ["queue.* = "],
    "is_idle": ["queue.* = ", "run_at <= ", "flow.* = .* AND .*flow_key.* = "],
    "redrive_jobs": [],
    "revive_jobs": [],
}
# These take unique keys, or keys of flows, in their order, which no index has.
SORTING = {"bury_damaged", "bury_flow_jobs", "redrive_jobs", "rescue_jobs", "revive_jobs"}
# Statistics of job -> how to get there.
STATES = ["never analysed", "vacuumed empty", "full", "full by stale statistics"]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def explained(hands: Hands, name: str) -> list[dict[str, Any]]:
    sql = statement(name, hands.schema)
    count = max((int(n) for n in re.findall(r"\$(\d+)", sql)), default=0)
    await hands.connection.execute(f"prepare p as {sql}")
    given = f"({', '.join(['null'] * count)})" if count else ""
    text = await hands.value(f"explain (format json) execute p{given}")
    await hands.connection.execute("deallocate p")
    return list(nodes(json.loads(text)[0]["Plan"]))


@pytest.mark.parametrize("state", STATES)
async def test_every_statement_probes_indexes(hands: Hands, state: str) -> None:
    await hands.sql("alter table @.job set (autovacuum_enabled = off)")
    if state == "vacuumed empty":
        await hands.sql("vacuum analyze @.job")
    if state == "full":
        await hands.fill(50_000)
        await hands.fill(50_000, due="1 day")
        await hands.sql("vacuum analyze @.job")
    if state == "full by stale statistics":
        await hands.fill(1000)
        await hands.sql("vacuum analyze @.job")
        await hands.sql("delete from @.job")
    for name, probes in PROBES.items():
        plan = await explained(hands, name)
        kinds = {node["Node Type"] for node in plan}
        assert not kinds & {"Incremental Sort", "Hash Join", "Merge Join"}, (name, kinds)
        assert "Sort" not in kinds or name in SORTING
        assert not any("Bitmap" in kind for kind in kinds), (name, kinds)
        big = [n for n in plan if re.match(r"job$|history|dead$", n.get("Relation Name", ""))]
        scans = [n for n in big if "Scan" in n["Node Type"]]
        for node in scans:
            assert node["Node Type"] in ("Index Scan", "Index Only Scan", "Tid Scan"), (name, node)
            probe = node.get("Index Cond") or node.get("TID Cond") or node.get("Index Name")
            table = node["Relation Name"]
            assert table != "job" or any(re.search(p, probe) for p in probes), (name, probe)
            assert table == "job" or "id = " in probe, (name, probe)
        assert len(scans) >= len(probes)


@pytest.mark.parametrize("rows", [None, 0, 1], ids=["never analysed", "empty", "one row"])
@pytest.mark.parametrize("more", [1, 9], ids=["one by one", "many at once"])
async def test_a_producers_plan_made_while_the_table_was_small(
    hands: Hands, producer: Hands, more: int, rows: int | None
) -> None:
    """Its session keeps the plan of the function; nothing of ours is set in it."""
    await hands.sql("alter table @.job set (autovacuum_enabled = off)")
    if rows is not None:
        await hands.fill(rows)
        await hands.sql("vacuum analyze @.job")
    for n in range(12):
        await producer.enqueue({"task": "t", "unique_key": f"k{n}"}, *[{"task": "t"}] * more)
    await hands.fill(20_000)
    before = await rows_read(hands, producer)
    for n in range(8, 16):
        await producer.enqueue({"task": "t", "unique_key": f"k{n}"}, *[{"task": "t"}] * more)
    assert await rows_read(hands, producer) - before < 100


@pytest.mark.parametrize("rows", [None, 0, 1], ids=["never analysed", "empty", "one row"])
async def test_a_plan_of_unique_modes_made_while_the_table_was_small(
    hands: Hands, producer: Hands, rows: int | None
) -> None:
    modes: list[dict[str, Any]] = [
        {"until": "started"}, {"for": 60}, {"replace": ["args"]}, {"wait": 60}, {"period": 60},
    ]  # fmt: skip

    async def enqueue(n: int) -> None:
        jobs = [
            {"task": "t", "unique_key": f"{n}-{m}", "unique": mode} for m, mode in enumerate(modes)
        ]
        for each in (jobs, jobs[:1]):
            await producer.enqueue(*each)

    await hands.sql("alter table @.job set (autovacuum_enabled = off)")
    if rows is not None:
        await hands.fill(rows)
        await hands.sql("vacuum analyze @.job")
    for n in range(12):
        await enqueue(n)
    await hands.fill(20_000)
    before = await rows_read(hands, producer)
    for n in range(8, 16):
        await enqueue(n)
    assert await rows_read(hands, producer) - before < 400


async def rows_read(hands: Hands, other: Hands) -> int:
    """How many rows of job were read so far."""
    for each in (hands, other):
        await each.sql("select pg_stat_force_next_flush()")
        await each.sql("select 1")
    return await hands.value(
        "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables"
        " where relid = '@.job'::regclass"
    )


@pytest.mark.parametrize("size", [0, 100, 1000])
async def test_a_claim_is_a_hot_update(hands: Hands, size: int) -> None:
    await hands.sql("alter table @.job set (autovacuum_enabled = off)")
    args = {"x": "y" * size}
    jobs = [{"task": "t", "args": args, "unique_key": f"k{n}"} for n in range(1000)]
    await hands.enqueue(*jobs)
    await hands.claim(limit=1000)
    await hands.sql("select pg_stat_force_next_flush()")
    await hands.sql("select 1")
    updates, hot = (
        await hands.sql(
            "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables"
            " where relid = '@.job'::regclass"
        )
    )[0]
    assert updates == 1000
    assert hot >= 950


class Seen:
    """What an execution came upon."""

    def __init__(self, text: str) -> None:
        document = json.loads(text)[0]
        plan = document["Plan"]
        self.nodes = list(nodes(plan))
        self.buffers = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        of_job = [
            n for n in self.nodes if n.get("Relation Name") == "job" and "Scan" in n["Node Type"]
        ]
        self.rows = sum(
            (n["Actual Rows"] + n.get("Rows Removed by Filter", 0)) * n["Actual Loops"]
            for n in of_job
        )


async def executed(hands: Hands, name: str, *args: str) -> Seen:
    await hands.connection.execute(f"prepare p as {statement(name, hands.schema)}")
    text = await hands.value(
        f"explain (analyze, buffers, timing off, format json) execute p({', '.join(args)})"
    )
    await hands.connection.execute("deallocate p")
    return Seen(text)


def claim_args(limit: int, cursor: int = 0) -> tuple[str, ...]:
    cursors = f"array_fill({cursor}::bigint, array[10])"
    names, tasks = "array['default']", "array['t']"
    return (names, f"array[{limit}]", cursors, tasks, str(limit), "1", "1", "false", "1000")


async def test_a_claim_from_a_large_table_visits_what_it_takes(hands: Hands) -> None:
    """Ready and scheduled jobs by the hundred thousand, and what was deleted among them."""
    await hands.sql("alter table @.job set (autovacuum_enabled = off)")
    await hands.fill(20_000)
    await hands.fill(100_000, due="1 day")
    await hands.sql("delete from @.job where position is not null")
    await hands.fill(100_000)
    seen = await executed(hands, "claim_jobs", *claim_args(100))
    assert seen.rows <= 300
    again = await executed(hands, "claim_jobs", *claim_args(100, 20_100))
    assert again.rows <= 300
    assert again.buffers < 3000


@pytest.mark.parametrize("batch", [1, 10, 500])
async def test_the_cost_of_a_claim_does_not_grow_with_the_backlog(hands: Hands, batch: int) -> None:
    await hands.fill(2 * batch)
    small = await executed(hands, "claim_jobs", *claim_args(batch))
    await hands.fill(30_000)
    large = await executed(hands, "claim_jobs", *claim_args(batch, batch))
    assert large.rows <= 3 * batch
    assert large.buffers <= small.buffers * 1.5 + 100


async def test_a_claim_from_its_cursor_skips_what_a_held_snapshot_keeps(
    hands: Hands, more_hands: Connect
) -> None:
    holder = await more_hands()
    await hands.sql("alter table @.job set (autovacuum_enabled = off)")
    transaction = holder.connection.transaction(isolation="repeatable_read")
    await transaction.start()
    await holder.count("queue")
    await hands.fill(50_000)
    await hands.sql("delete from @.job")
    await hands.fill(100)
    await hands.sql("vacuum @.job")
    ahead = await executed(hands, "claim_jobs", *claim_args(50, 50_000))
    assert ahead.rows <= 150
    assert ahead.buffers < 1500
    await transaction.rollback()


@pytest.mark.past_bug(112)
async def test_a_promotion_visits_what_is_due(hands: Hands) -> None:
    await hands.sql("alter table @.job set (autovacuum_enabled = off)")
    await hands.fill(100_000, due="1 day")
    await hands.fill(5, due="-1 second")
    await hands.sql("update @.job set position = null where run_at < now()")
    seen = await executed(hands, "promote_jobs", "1000", "'-infinity'")
    assert seen.rows <= 15
    assert seen.buffers < 200
    assert await hands.value("select count(*) from @.job where position is not null") == 5


async def test_a_heartbeat_visits_few_rows(hands: Hands) -> None:
    await hands.register("default")
    await hands.fill(20_000)
    await hands.fill(20_000, due="1 day")
    await hands.claim(limit=1000)
    seen = await executed(
        hands, "renew_lease", str(hands.id), "5", "false", "null", "null", "true", "60",
        "'-infinity'", "0", "15", "true", "true",
    )  # fmt: skip
    assert seen.rows <= 2
    assert seen.buffers < 100


async def test_a_search_for_what_was_passed_visits_few_rows(hands: Hands) -> None:
    await hands.fill(20_000)
    args = ("array['default']", "array_fill(20000::bigint, array[10])", "array['t']", "19000")
    seen = await executed(hands, "find_stragglers", *args)
    assert seen.rows <= 5
    assert seen.buffers < 150
