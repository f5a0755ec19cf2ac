"""A dead worker's jobs are released, and those that keep killing their worker are not."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from tests.db.conftest import Connect
from tests.db.hands import Hands
from tests.db.test_plans import nodes

from pgqueue.db.statements import statement


async def held(hands: Hands, count: int) -> list[int]:
    rows = await hands.enqueue(*[{"task": "t"}] * count)
    await hands.claim()
    return [row["id"] for row in rows]


async def crashes(hands: Hands, ids: list[int]) -> list[tuple[int, int]]:
    """Of each, crash_count and attempt."""
    rows = await hands.sql(
        "select crash_count, attempt from @.jobs where id = any ($1) order by id", ids
    )
    return [tuple(row) for row in rows]


async def test_with_nobody_quarantined_all_are_blamed(hands: Hands, more_hands: Connect) -> None:
    ids = await held(hands, 3)
    other = await more_hands()
    assert await other.rescue(hands.id) == dict.fromkeys(ids, "rescued")
    assert await crashes(hands, ids) == [(1, 1)] * 3
    errors = json.loads((await hands.live(ids[0]) or {})["errors"])
    assert (errors[0]["type"], errors[0]["attempt"]) == ("WorkerLost", 1)
    assert await hands.finish(*ids) == []


async def test_with_one_quarantined_the_others_get_their_attempt_back(hands: Hands) -> None:
    ids = await held(hands, 3)
    await hands.run("quarantine_job", ids[1], hands.token, None, None)
    assert await hands.rescue(hands.id) == dict.fromkeys(ids, "rescued")
    assert await crashes(hands, ids) == [(0, 0), (1, 1), (0, 0)]
    assert await hands.value("select count(*) from @.job where quarantined") == 0
    assert [(await hands.live(i) or {})["errors"] for i in (ids[0], ids[2])] == [None, None]


async def test_at_the_cap_a_job_is_buried_and_says_why(hands: Hands) -> None:
    (job,) = await held(hands, 1)
    for count in (1, 2):
        assert await hands.rescue(hands.id) == {job: "rescued"}
        assert await crashes(hands, [job]) == [(count, count)]
        await hands.claim()
    await hands.run("quarantine_job", job, hands.token, None, None)
    assert await hands.rescue(hands.id) == {job: "dead"}
    (dead,) = await hands.sql("select * from @.dead")
    assert dead["reason"] == "its worker died 3 times while it ran"
    assert (dead["crash_count"], dead["attempt"]) == (3, 3)
    assert len(json.loads(dead["errors"])) == 3


async def test_an_innocent_job_is_never_buried(hands: Hands) -> None:
    guilty, innocent = await held(hands, 2)
    for _ in range(3):
        await hands.run("quarantine_job", guilty, hands.token, None, None)
        fates = await hands.rescue(hands.id)
        await hands.claim()
    assert fates == {guilty: "dead", innocent: "rescued"}
    assert await crashes(hands, [innocent]) == [(0, 1)]


@pytest.mark.past_bug(31)
async def test_a_count_that_cannot_grow_holds_up_no_rescue(hands: Hands) -> None:
    ids = await held(hands, 3)
    await hands.sql("update @.job set crash_count = 32767 where id = any ($1)", ids[:2])
    await hands.run("quarantine_job", ids[0], hands.token, None, None)
    fates = await hands.rescue(hands.id)
    assert fates == {ids[0]: "dead", ids[1]: "rescued", ids[2]: "rescued"}
    assert await hands.value("select crash_count from @.dead") == 32767


@pytest.mark.past_bug(108)
async def test_a_job_that_was_to_stop_ends_with_its_worker(hands: Hands) -> None:
    ids = await held(hands, 2)
    await hands.run("cancel_jobs", [ids[0]])
    assert await hands.rescue(hands.id) == {ids[0]: "cancelled", ids[1]: "rescued"}
    assert [await hands.state(job) for job in ids] == ["cancelled", "pending"]


async def test_the_errors_of_crashes_are_bounded(hands: Hands) -> None:
    (job,) = await held(hands, 1)
    for _ in range(25):
        await hands.run("quarantine_job", job, hands.token, None, None)
        await hands.rescue(hands.id, cap=100)
        await hands.claim()
    errors = json.loads((await hands.live(job) or {})["errors"])
    assert [error["attempt"] for error in errors] == list(range(6, 26))


async def test_a_rescued_job_is_claimed_at_its_old_place(hands: Hands) -> None:
    first, second = await held(hands, 2)
    places = [(await hands.live(job) or {})["position"] for job in (first, second)]
    await hands.rescue(hands.id)
    assert [row["position"] for row in await hands.claim()] == places


async def test_a_rescue_of_nobody(hands: Hands) -> None:
    await held(hands, 2)
    assert await hands.rescue(hands.id + 1) == {}
    assert await hands.value("select count(*) from @.job where worker_id is not null") == 2


@pytest.mark.past_bug(9)
async def test_the_jobs_of_living_workers_hide_none(hands: Hands, more_hands: Connect) -> None:
    await hands.fill(10_000)
    await hands.claim(limit=10_000)
    other = await more_hands()
    (job,) = await held(other, 1)
    assert await hands.rescue(other.id) == {job: "rescued"}


@pytest.mark.past_bug(1)
async def test_orphans_are_found(hands: Hands, more_hands: Connect) -> None:
    await hands.register("default")
    await held(hands, 2)
    other = await more_hands()
    await held(other, 2)
    rows = await hands.run("find_orphans")
    assert [row["worker_id"] for row in rows] == [other.id]


async def test_who_is_lost(hands: Hands, more_hands: Connect) -> None:
    """A lease that ran out, or a session that is gone from a server that kept running."""
    await hands.register("default")
    late, gone, fine = [await hands.register("default", worker=n) for n in (1, 2, 3)]
    await hands.sql(
        "update @.worker set heartbeat_at = now() - '16 s'::interval where id = $1", late
    )
    await hands.sql("update @.worker set session_pid = 1 where id = $1", gone)
    await hands.sql("update @.worker set session_pid = pg_backend_pid() where id = $1", fine)
    since = await hands.value("select now()")

    async def lost(watched: float, look: bool = True) -> tuple[list[int], list[int]]:
        (row,) = await hands.run(
            "renew_lease", hands.id, 0, False, None, None, look, watched, since, 0, 15, True, True
        )
        assert row["alive"]
        return row["expired"], row["vanished"]

    assert await lost(60.0) == ([late], [gone])
    assert await lost(10.0) == ([], [gone])
    assert await lost(1.0) == ([], [])
    assert await lost(60.0, look=False) == ([], [])
    # After a restart of the server every session is gone, and nobody is dead for it.
    await hands.sql("update @.worker set server_start = $1", since - timedelta(days=1))
    assert await lost(60.0) == ([late], [])
    assert [row["id"] for row in await hands.run("lock_lost_worker", [late], False)] == [late]
    assert await hands.run("lock_lost_worker", [gone], True) == []
    assert await hands.run("lock_lost_worker", [fine], False) == []


async def test_a_session_whose_start_is_not_shown_is_not_gone(hands: Hands) -> None:
    """Of another role's sessions the pid is shown, and no more."""
    await hands.register("default")
    there, gone = [await hands.register("default", worker=n) for n in (1, 2)]
    since = await hands.value("select now()")
    heartbeat = (hands.id, 0, False, None, None, True, 60.0, since, 0, 15, True, True)
    await hands.sql(
        "update @.worker set session_start = now(), session_pid = 1 where id = $1", gone
    )
    await hands.sql(
        "update @.worker set session_start = now(), session_pid = pg_backend_pid() where id = $1",
        there,
    )
    (row,) = await hands.run("renew_lease", *heartbeat)
    assert sorted(row["vanished"]) == [there, gone]  # its start is another
    transaction = hands.connection.transaction()
    await transaction.start()
    stranger = "pg_signal_backend"
    await hands.sql(f"grant usage on schema @ to {stranger}")
    await hands.sql(f"grant select, update on all tables in schema @ to {stranger}")
    await hands.sql(f"set local role {stranger}")
    (row,) = await hands.run("renew_lease", *heartbeat)
    assert row["vanished"] == [gone]
    assert await hands.run("lock_lost_worker", [there], True) == []
    assert [row["id"] for row in await hands.run("lock_lost_worker", [there, gone], True)] == [gone]
    await transaction.rollback()


@pytest.mark.parametrize("look", [True, False])
async def test_a_look_reads_the_list_of_sessions_once(hands: Hands, look: bool) -> None:
    """However many workers there are; without a look nobody reads it."""
    await hands.register("default")
    for n in range(20):
        await hands.register("default", worker=n)
    await hands.sql(
        "update @.worker set session_pid = 100000000 + id, session_start = now() where id < 20"
    )
    sql = statement("renew_lease", hands.schema)
    await hands.connection.execute(f"prepare heartbeat as {sql}")
    text = await hands.value(
        "explain (analyze, format json)"
        f" execute heartbeat({hands.id}, 0, false, null, null, {look}, 60.0, now(), 0, 15, true,"
        " true)"
    )
    scans = [n for n in nodes(json.loads(text)[0]["Plan"]) if n["Node Type"] == "Function Scan"]
    reads = [n["Actual Loops"] for n in scans if n["Function Name"] == "pg_stat_get_activity"]
    assert reads == [int(look)]


async def test_one_rescuer_at_a_time(hands: Hands, more_hands: Connect) -> None:
    other = await more_hands()
    late = await hands.register("default", worker=1)
    await hands.sql("update @.worker set heartbeat_at = now() - '1 h'::interval")
    async with hands.connection.transaction():
        assert len(await hands.run("lock_lost_worker", [late], False)) == 1
        assert await other.run("lock_lost_worker", [late], False) == []


@pytest.mark.past_bug(17)
async def test_a_worker_whose_row_is_gone_is_told(hands: Hands) -> None:
    await hands.register("default")
    await hands.run("remove_worker", [hands.id])
    since = await hands.value("select now()")
    (row,) = await hands.run(
        "renew_lease", hands.id, 0, False, None, None, True, 60.0, since, 0, 15, True, True
    )
    assert not row["alive"]


@pytest.mark.parametrize("cap", [1, 100])
async def test_the_cap_is_the_callers(hands: Hands, cap: int) -> None:
    (job,) = await held(hands, 1)
    assert await hands.rescue(hands.id, cap=cap) == {job: "dead" if cap == 1 else "rescued"}


async def test_what_crashed_twice_and_was_not_quarantined_had_not_begun(hands: Hands) -> None:
    """It runs quarantined or not at all: beside a poison it would be buried for nothing."""
    [job] = await held(hands, 1)
    for fate, count in (("rescued", 1), ("rescued", 2), ("rescued", 2)):
        assert await hands.rescue(hands.id) == {job: fate}
        assert await crashes(hands, [job]) == [(count, count)]
        await hands.claim()


async def test_where_it_is_known_what_had_begun_nothing_else_is_blamed(hands: Hands) -> None:
    ids = await held(hands, 3)
    begun = [(ids[1], hands.token), (-1, hands.token)]
    assert await hands.rescue(hands.id, begun=begun) == dict.fromkeys(ids, "rescued")
    assert await crashes(hands, ids) == [(0, 0), (1, 1), (0, 0)]
    # One that was marked and had not begun takes no blame from the others.
    await hands.claim()
    await hands.run("quarantine_job", ids[0], hands.token, None, None)
    begun = [(ids[1], hands.token)]
    assert await hands.rescue(hands.id, begun=begun) == dict.fromkeys(ids, "rescued")
    assert await crashes(hands, ids) == [(0, 0), (2, 2), (0, 0)]


async def test_where_it_is_known_a_killer_does_not_hide_behind_a_quarantined_job(
    hands: Hands,
) -> None:
    """It crashes one worker after another, beside innocents that run quarantined there."""
    quarantined, killer, waiting = await held(hands, 3)
    for crash in range(1, 3):
        await hands.sql("update @.job set crash_count = 2 where id = $1", quarantined)
        await hands.run("quarantine_job", quarantined, hands.token, None, None)
        begun = [(quarantined, hands.token), (killer, hands.token)]
        fates = await hands.rescue(hands.id, begun=begun, cap=100)
        assert fates == dict.fromkeys((quarantined, killer, waiting), "rescued")
        assert await crashes(hands, [quarantined, killer, waiting]) == [
            (3, crash), (crash, crash), (0, 0)
        ]  # fmt: skip
        await hands.claim()


async def test_what_had_begun_in_a_former_claim_had_not_in_this_one(hands: Hands) -> None:
    """It failed, was claimed again by the same worker, and waits; another has run ever since."""
    again, other = await held(hands, 2)
    former = hands.token
    await hands.release(again)
    await hands.claim()
    assert hands.token != former
    begun = [(again, former), (other, former)]
    fates = await hands.rescue(hands.id, begun=begun)
    assert fates == {again: "rescued", other: "rescued"}
    assert await crashes(hands, [again, other]) == [(0, 0), (1, 1)]


async def test_a_claim_that_came_after_its_worker_was_gone_is_no_crash(hands: Hands) -> None:
    [job] = await held(hands, 1)
    assert await hands.rescue(hands.id, begun=[]) == {job: "rescued"}
    assert await crashes(hands, [job]) == [(0, 0)]
    assert (await hands.live(job) or {})["errors"] is None
