"""Each job to one worker: priorities, age, quotas, pauses, locked rows, unknown tasks."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from tests.db.conftest import Connect
from tests.db.hands import Hands


@pytest.mark.past_bug(18)
async def test_each_job_goes_to_one_of_many_claimers(hands: Hands, more_hands: Connect) -> None:
    await hands.serve("a", "b")
    await hands.fill(2500, queue="a")
    await hands.fill(2500, queue="b")
    workers = [await more_hands() for _ in range(8)]

    async def drain(worker: Hands) -> list[int]:
        ids: list[int] = []
        while rows := await worker.claim("a", "b", limit=37):
            ids += [row["id"] for row in rows]
        return ids

    taken = [job for ids in await asyncio.gather(*map(drain, workers)) for job in ids]
    assert len(taken) == len(set(taken)) == 5000
    assert await hands.value("select count(*) from @.job where worker_id is null") == 0
    assert await hands.value("select max(attempt) from @.job") == 1


@pytest.mark.past_bug(20)
async def test_locked_rows_are_skipped_and_not_counted(
    hands: Hands, producer: Hands, more_hands: Connect
) -> None:
    await hands.fill(250)
    ids = [row["id"] for row in await hands.sql("select id from @.job order by position")]
    holder = producer.connection.transaction()
    await holder.start()
    await producer.sql("select id from @.job where id = any ($1) for update", ids[:100])
    claim = hands.connection.transaction()
    await claim.start()
    assert [row["id"] for row in await hands.claim(limit=100)] == ids[100:200]
    # What neither of the two has taken is free: the claim locked no more than it took.
    looker = await more_hands()
    free = await looker.sql("select id from @.job for update skip locked")
    assert sorted(row["id"] for row in free) == ids[200:]
    await claim.rollback()
    await holder.rollback()


async def test_a_claim_with_quotas_locks_no_more_than_it_takes(
    hands: Hands, more_hands: Connect
) -> None:
    await hands.serve("a", "b", "c")
    for queue in "abc":
        await hands.fill(20, queue=queue)
    claim = hands.connection.transaction()
    await claim.start()
    rows = await hands.claim("a", "b", "c", limit=12, quota=5)
    assert Counter(row["queue"] for row in rows) == {"a": 5, "b": 5, "c": 2}
    looker = await more_hands()
    free = await looker.sql("select id from @.job for update skip locked")
    assert len(free) == 48
    await claim.rollback()


async def test_priority_first_then_age(hands: Hands) -> None:
    jobs = [{"task": "t", "priority": n * 7 % 10} for n in range(50)]
    ids = [row["id"] for row in await hands.enqueue(*jobs)]
    wanted = sorted(range(50), key=lambda n: (jobs[n]["priority"], n))
    claimed = [row["id"] for _ in range(10) for row in await hands.claim(limit=5)]
    assert claimed == [ids[n] for n in wanted]


async def test_a_promoted_job_queues_behind_what_is_ready(hands: Hands) -> None:
    (later,) = await hands.enqueue({"task": "t", "delay": 60})
    (first,) = await hands.enqueue({"task": "t"})
    await hands.sql("update @.job set run_at = now() where id = $1", later["id"])
    await hands.run("promote_jobs", 10, await hands.value("select now() - '1 h'::interval"))
    assert [row["id"] for row in await hands.claim()] == [first["id"], later["id"]]


async def test_a_returned_job_keeps_its_place(hands: Hands) -> None:
    first, second = [row["id"] for row in await hands.enqueue({"task": "t"}, {"task": "t"})]
    await hands.claim(limit=1)
    await hands.release(first)
    assert [row["id"] for row in await hands.claim()] == [first, second]


async def test_quotas_share_the_room_between_queues(hands: Hands) -> None:
    await hands.serve("a", "b")
    await hands.fill(30, queue="a")
    await hands.fill(30, queue="b")
    rows = await hands.claim("a", "b", limit=20, quota=10)
    assert Counter(row["queue"] for row in rows) == {"a": 10, "b": 10}
    rows = await hands.claim("b", "a", limit=15, quota=10)
    assert Counter(row["queue"] for row in rows) == {"b": 10, "a": 5}


async def test_a_paused_queue_is_left_alone(hands: Hands) -> None:
    await hands.serve("a", "b")
    await hands.fill(3, queue="a")
    await hands.fill(3, queue="b")
    await hands.run("pause_queue", "a")
    assert {row["queue"] for row in await hands.claim("a", "b")} == {"b"}
    assert await hands.claim("a") == []
    await hands.run("resume_queue", "a")
    assert len(await hands.claim("a")) == 3


async def test_unknown_tasks_are_not_touched_and_do_not_hide_known_ones(hands: Hands) -> None:
    await hands.fill(50, task="unknown")
    await hands.fill(3, task="t")
    await hands.fill(2, task="u")
    rows = await hands.claim(limit=10, tasks=("t", "u"))
    assert Counter(row["task"] for row in rows) == {"t": 3, "u": 2}
    assert await hands.value("select max(attempt) from @.job where task = 'unknown'") == 0
    seen = await hands.run("find_unknown_tasks", ["default"], ["t", "u"])
    assert [tuple(row) for row in seen] == [("default", "unknown", 50)]
    assert await hands.claim(tasks=()) == []


async def test_a_claim_takes_from_its_cursors_only(hands: Hands) -> None:
    await hands.enqueue(*[{"task": "t", "priority": n % 2} for n in range(20)])
    places = await hands.sql("select id, position, priority from @.job order by position")
    middle = places[9]["position"]
    cursors = [middle, 0, *[0] * 8]
    rows = await hands.claim(cursors=cursors)
    want = {row["id"] for row in places if row["priority"] == 1 or row["position"] > middle}
    assert {row["id"] for row in rows} == want


async def test_scheduled_and_blocked_jobs_are_not_claimed(hands: Hands) -> None:
    await hands.enqueue({"task": "t", "delay": 60})
    await hands.sql("insert into @.job (task, run_at) values ('t', 'infinity')")
    assert await hands.claim() == []
    assert (
        await hands.run("promote_jobs", 10, await hands.value("select now() - '1d'::interval"))
        == []
    )
    states = await hands.sql("select state from @.jobs order by id")
    assert [row["state"] for row in states] == ["scheduled", "blocked"]


@pytest.mark.past_bug(41)
async def test_one_bad_scheduled_row_does_not_stop_the_others(hands: Hands) -> None:
    await hands.enqueue(*[{"task": "t", "delay": 60}] * 3)
    await hands.sql(
        "insert into @.job (task, run_at) values ('t', '294000-01-01'), ('t', 'infinity'),"
        " ('t', '-infinity'), ('t', '4000-01-01 BC')"
    )
    await hands.sql(
        "update @.job set run_at = now() where run_at < '3000-01-01' and run_at > now()"
    )
    rows = await hands.run("promote_jobs", 10, await hands.value("select now() - '1d'::interval"))
    assert len(rows) == 3


async def test_promoters_share_what_is_due(hands: Hands, more_hands: Connect) -> None:
    await hands.fill(2000, due="-1 hour")
    await hands.sql("update @.job set position = null")
    since = await hands.value("select now() - '1 day'::interval")
    workers = [await more_hands() for _ in range(4)]

    async def promote(worker: Hands) -> int:
        count = 0
        while rows := await worker.run("promote_jobs", 50, since):
            count += len(rows)
        return count

    counts = await asyncio.gather(*map(promote, workers))
    assert sum(counts) == 2000
    assert await hands.value("select count(distinct position) from @.job") == 2000


async def held(hands: Hands, *workers: int, cursor: int = 0, floor: int = 0) -> list[Any]:
    server = await hands.value("select pg_postmaster_start_time()")
    return await hands.run(
        "find_held", list(workers), ["default"], [cursor] * 10, ["t"], floor, server
    )


async def test_what_a_worker_holds_is_found_by_position(hands: Hands) -> None:
    """Among what others hold, with the receipt; and behind fewer than thirty ready jobs."""
    await hands.enqueue(*[{"task": "t"}] * 6)
    own = await hands.claim(limit=2)
    token, other = hands.token, hands.id + 1
    await hands.sql("update @.job set worker_id = $1 where id = $2", other, own[0]["id"])
    rows = await held(hands, hands.id)
    assert [(row["id"], row["claim_token"]) for row in rows] == [(own[1]["id"], token)]
    assert {row["id"] for row in await held(hands, hands.id, other)} == {row["id"] for row in own}
    # What is behind some ready jobs is found, even by a worker that has claimed nothing.
    await hands.sql("update @.job set worker_id = 7, claim_token = 7 where position = 5")
    assert len(await held(hands, 7)) == 1
    assert await held(hands, 7, cursor=4, floor=5) == []
    other_server = await hands.run("find_held", [7], ["default"], [4] * 10, ["t"], 5, None)
    assert len(other_server) == 1, "a floor of another server is none"
    # What is far behind is found when the cursor has come nearer.
    await hands.enqueue(*[{"task": "t"}] * 120)
    far = await hands.value("select max(position) from @.job")
    await hands.sql("update @.job set worker_id = 8, claim_token = 8 where position = $1", far)
    assert await held(hands, 8) == []
    assert len(await held(hands, 8, cursor=far - 20)) == 1


async def test_a_look_at_what_a_worker_holds_reads_no_backlog(hands: Hands) -> None:
    await hands.fill(20_000)
    await hands.sql("vacuum analyze @.job")
    await hands.claim(limit=10)
    before = await rows_fetched(hands)
    assert len(await held(hands, hands.id)) == 10
    assert await rows_fetched(hands) - before < 100


async def rows_fetched(hands: Hands) -> int:
    await hands.sql("select pg_stat_force_next_flush()")
    await hands.sql("select 1")
    return await hands.value(
        "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables"
        " where relid = '@.job'::regclass"
    )


@pytest.mark.past_bug(31)
async def test_attempts_beyond_the_last_are_no_error_of_the_claim(hands: Hands) -> None:
    (row,) = await hands.enqueue({"task": "t", "max_attempts": 2})
    await hands.sql("update @.job set attempt = 7")
    (claimed,) = await hands.claim()
    assert (claimed["attempt"], claimed["max_attempts"]) == (8, 2)
    assert await hands.bury(row["id"]) == [row["id"]]


@pytest.mark.parametrize("count", [1, 1000])
async def test_ids_are_of_64_bits(hands: Hands, count: int) -> None:
    await hands.sql("alter table @.job alter id restart with 9000000000000000000")
    await hands.sql("select setval('@.position_seq', 8000000000000000000)")
    rows = await hands.enqueue(*[{"task": "t", "unique_key": f"{n}"} for n in range(count)])
    assert rows[0]["id"] == 9000000000000000000
    claimed = await hands.claim(limit=count, cursors=[8000000000000000000] * 10)
    ids = [row["id"] for row in claimed]
    half = count // 2
    assert await hands.finish(*ids[:half]) == sorted(ids[:half])
    assert await hands.release(*ids[half:]) == sorted(ids[half:])
    found = await hands.run("find_stragglers", ["default"], [2**63 - 1] * 10, ["t"], 0)
    assert max(row["position"] for row in found) > 8000000000000000000
