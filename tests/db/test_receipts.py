"""Every write shows its receipt, and one that is not good changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.db.conftest import Connect
from tests.db.hands import Hands

ERROR: dict[str, Any] = {"type": "ValueError", "message": "no", "worker": "w", "traceback": ""}


async def one(hands: Hands, **options: Any) -> int:
    """A claimed job."""
    (row,) = await hands.enqueue({"task": "t", **options})
    assert [claimed["id"] for claimed in await hands.claim()] == [row["id"]]
    return row["id"]


async def everything(hands: Hands) -> list[Any]:
    tables = ("job", "history", "dead")
    return [await hands.sql(f"select * from @.{table} order by id") for table in tables]


async def write_all(hands: Hands, job: int, token: int) -> list[Any]:
    return [
        await hands.finish(job, token=token),
        await hands.finish(job, token=token, state="cancelled"),
        await hands.release(job, token=token),
        await hands.release(job, token=token, delay=5.0, change=0, error=ERROR),
        await hands.bury(job, token=token, error=ERROR),
        await hands.run("hold_job", job, token),
        await hands.run("find_finished", [job], [token]),
    ]


async def test_a_note_that_a_job_began_goes_with_the_claim_that_made_it(hands: Hands) -> None:
    """Whoever puts off a job that an earlier claim began does not know how that ended."""
    job = await one(hands)
    assert await hands.run("begin_job", job, hands.token)
    await hands.release(job)
    (again,) = await hands.claim()
    assert again["refused"] == "interrupted"
    await hands.release(job, delay=-1.0)
    began = "select began_at is not null from @.job where id = $1"
    assert await hands.value(began, job), "it was put off before its refusal was written"
    await hands.sql("update @.job set position = nextval('@.position_seq'), began_at = null")
    await hands.claim()
    assert await hands.run("begin_job", job, hands.token)
    await hands.release(job, delay=-1.0)
    assert not await hands.value(began, job)


@pytest.mark.past_bug(16)
async def test_a_wrong_token_changes_nothing(hands: Hands) -> None:
    job = await one(hands)
    before = await everything(hands)
    for token in (hands.token + 1, 0, -1, 2**63 - 1):
        assert await write_all(hands, job, token) == [[]] * 7
        assert await hands.run("quarantine_job", job, token, None, None) == []
    assert await everything(hands) == before


async def test_a_token_of_an_earlier_claim_is_void(hands: Hands) -> None:
    job = await one(hands)
    old = hands.token
    await hands.release(job)
    assert await write_all(hands, job, old) == [[]] * 7
    await hands.claim()
    before = await everything(hands)
    assert await write_all(hands, job, old) == [[]] * 7
    assert await everything(hands) == before
    assert await hands.finish(job) == [job]


@pytest.mark.parametrize("end", ["cancelled", "dead"])
async def test_a_claimed_job_whose_token_was_deleted_can_end(hands: Hands, end: str) -> None:
    """Its token is 0; a job that nobody claimed has none."""
    job = await one(hands)
    (waits,) = await hands.enqueue({"task": "t"})
    await hands.sql("update @.job set claim_token = null")
    if end == "cancelled":
        await hands.sql("update @.job set cancel_requested = true")
        assert await hands.release(job, token=0) == []
        assert await hands.finish(job, waits["id"], token=0, state=end) == [job]
    else:
        assert await hands.bury(job, waits["id"], token=0, error=ERROR) == [job]
    assert (await hands.state(job), await hands.live(waits["id"]) is not None) == (end, True)


@pytest.mark.parametrize("end", ["completed", "dead", "deleted"])
async def test_a_receipt_of_a_job_that_is_over_is_void(hands: Hands, end: str) -> None:
    job = await one(hands)
    if end == "deleted":
        await hands.sql("delete from @.job")
    else:
        await (hands.finish(job) if end == "completed" else hands.bury(job))
    before = await everything(hands)
    answers = await write_all(hands, job, hands.token)
    assert answers[:6] == [[]] * 6
    assert [row["id"] for row in answers[6]] == ([] if end == "deleted" else [job])
    assert await everything(hands) == before


async def test_good_and_bad_receipts_in_one_batch(hands: Hands) -> None:
    jobs = [(await hands.enqueue({"task": "t"}))[0]["id"] for _ in range(6)]
    await hands.claim()
    good = hands.token
    for name, half in (
        ("finish_jobs", jobs[:2]),
        ("release_jobs", jobs[2:4]),
        ("bury_jobs", jobs[4:]),
    ):
        tokens = [good, good + 1]
        if name == "finish_jobs":
            assert (await hands.run(name, half, tokens, "completed"))[0][0] == [half[0]]
        elif name == "release_jobs":
            rows = await hands.run(name, half, tokens, [None] * 2, [-1] * 2, [None] * 2, 20)
            assert [row["id"] for row in rows] == [half[0]]
        else:
            rows = await hands.run(name, half, tokens, ["why"] * 2, [None] * 2, 20)
            assert [row["id"] for row in rows] == [half[0]]
    states = [await hands.state(job) for job in jobs]
    assert states == ["completed", "running", "pending", "running", "dead", "running"]


async def test_all_good_is_told_apart_from_none(hands: Hands) -> None:
    job = await one(hands)
    assert (await hands.run("finish_jobs", [job], [hands.token + 1], "completed"))[0][0] == []
    assert (await hands.run("finish_jobs", [job], [hands.token], "completed"))[0][0] is None
    assert (await hands.run("finish_jobs", [], [], "completed"))[0][0] is None


@pytest.mark.past_bug(27)
async def test_a_job_deleted_while_it_ran_keeps_no_other_from_completing(
    hands: Hands,
) -> None:
    rows = await hands.enqueue(*[{"task": "t"}] * 3)
    ids = [row["id"] for row in rows]
    await hands.claim()
    await hands.sql("delete from @.job where id = $1", ids[1])
    assert await hands.finish(*ids) == [ids[0], ids[2]]


@pytest.mark.past_bug(99)
async def test_the_same_outcome_twice(hands: Hands) -> None:
    job = await one(hands)
    assert await hands.bury(job, error=ERROR) == [job]
    assert await hands.bury(job, error=ERROR) == []
    assert await hands.count("dead") == 1


# -- cancel requests


@pytest.mark.parametrize("waits", [{}, {"delay": 60}])
async def test_a_waiting_job_is_cancelled_at_once(hands: Hands, waits: dict[str, Any]) -> None:
    (row,) = await hands.enqueue({"task": "t", **waits})
    (answer,) = await hands.run("cancel_jobs", [row["id"], row["id"] + 1])
    assert tuple(answer)[:3] == (row["id"], False, False)
    assert await hands.state(row["id"]) == "cancelled"
    assert await hands.claim() == []


@pytest.mark.past_bug(106)
async def test_a_running_job_that_is_to_stop_is_not_tried_again(hands: Hands) -> None:
    job = await one(hands)
    assert [tuple(row)[:3] for row in await hands.run("cancel_jobs", [job])] == [(job, True, False)]
    assert [tuple(row)[:3] for row in await hands.run("cancel_jobs", [job])] == [(job, True, True)]
    assert await hands.release(job, delay=1.0, change=0, error=ERROR) == []
    assert await hands.release(job) == []
    assert await hands.bury(job, error=ERROR) == []
    assert await hands.finish(job, state="cancelled") == [job]
    assert await hands.state(job) == "cancelled"


async def test_a_job_that_returned_in_spite_of_a_cancel_request_is_completed(hands: Hands) -> None:
    job = await one(hands)
    await hands.run("cancel_jobs", [job])
    assert await hands.finish(job) == [job]
    assert await hands.state(job) == "completed"


@pytest.mark.past_bug(105)
async def test_the_heartbeat_brings_the_cancel_requests_of_this_worker(
    hands: Hands, more_hands: Connect
) -> None:
    other = await more_hands()
    mine = await one(hands)
    theirs = await one(other)
    await hands.register("default")
    await hands.run("cancel_jobs", [mine, theirs])
    since = await hands.value("select now()")
    (row,) = await hands.run(
        "renew_lease", hands.id, 1, False, None, None, True, 0.0, since, 0, 15, True, True
    )
    assert row["cancelled"] == [mine]


# -- what is kept of errors


@pytest.mark.past_bug(28)
async def test_what_a_job_keeps_is_bounded(hands: Hands) -> None:
    job = await one(hands)
    for n in range(50):
        error = {**ERROR, "attempt": n}
        assert await hands.release(job, delay=60.0, change=0, error=error) == [job]
        await hands.run("ready_jobs", [job])
        await hands.claim()
    live = await hands.live(job)
    assert live is not None
    kept = json.loads(live["errors"])
    assert [error["attempt"] for error in kept] == list(range(30, 50))
    assert all(error["at"] for error in kept)
    assert await hands.bury(job, error={**ERROR, "attempt": 50}) == [job]
    dead = json.loads(await hands.value("select errors from @.dead"))
    assert [error["attempt"] for error in dead] == list(range(31, 51))


@pytest.mark.past_bug(28)
async def test_snoozing_leaves_nothing_behind(hands: Hands) -> None:
    job = await one(hands)
    before = await hands.value("select pg_column_size(j) from @.job as j")
    for _ in range(200):
        assert await hands.release(job, delay=60.0) == [job]
        await hands.run("ready_jobs", [job])
        await hands.claim()
    assert await hands.value("select pg_column_size(j) from @.job as j") == before
    live = await hands.live(job)
    assert live is not None
    assert (live["attempt"], live["errors"]) == (1, None)


@pytest.mark.past_bug(30)
async def test_an_interrupted_attempt_does_not_count(hands: Hands) -> None:
    (row,) = await hands.enqueue({"task": "t", "max_attempts": 3})
    place = (await hands.live(row["id"]) or {})["position"]
    for _ in range(20):
        (claimed,) = await hands.claim()
        assert claimed["attempt"] == 1
        assert await hands.release(row["id"]) == [row["id"]]
    live = await hands.live(row["id"])
    assert live is not None
    assert (live["attempt"], live["position"], live["claimed_at"]) == (0, place, None)


async def test_the_marker_of_a_quarantined_job(hands: Hands) -> None:
    rows = await hands.enqueue(*[{"task": "t"}] * 3)
    first, second, third = (row["id"] for row in rows)
    await hands.claim()
    token = hands.token

    async def quarantined() -> list[int]:
        found = await hands.sql("select id from @.job where quarantined order by id")
        return [row["id"] for row in found]

    await hands.run("quarantine_job", first, token, None, None)
    assert await quarantined() == [first]
    await hands.run("quarantine_job", second, token, first, token)
    assert await quarantined() == [second]
    await hands.finish(second)
    await hands.run("quarantine_job", third, token, second, token)
    assert await quarantined() == [third]
    await hands.release(third)
    assert await quarantined() == []
