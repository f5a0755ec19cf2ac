"""What can be seen: jobs, dead letters, queues, workers, status; and what looking costs."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest

from pgqueue.admin import jobs as admin_jobs
from pgqueue.admin import session
from pgqueue.admin.info import COUNT_BOUND, Count
from pgqueue.admin.waiting import AHEAD_BOUND
from pgqueue.client import Client
from pgqueue.db.statements import statement
from pgqueue.errors import ConfigError, DatabaseError, SchemaError
from pgqueue.job import JobState
from pgqueue.operations import Operations
from pgqueue.operations.schedules import Schedules
from tests.admin.conftest import Session, add, add_dead


async def test_a_job_shows_everything(client: Client, other: Session) -> None:
    (job,) = await add_dead(
        client, other, queue="mail", tags=["x"], metadata={"m": [1]}, timeout=3, unique_key="u"
    )
    found = await client.aget_job(job)
    assert found is not None
    assert (found.state, found.queue, found.task) == (JobState.DEAD, "mail", "t")
    assert (found.args, found.metadata, found.tags) == ({"n": 0}, {"m": [1]}, ("x",))
    assert (found.reason, found.unique_key, found.timeout_seconds) == ("it failed", "u", 3.0)
    (error,) = found.errors
    assert (error.attempt, error.type, error.message) == (1, "ValueError", "no")
    assert isinstance(error.at, datetime)
    assert await client.aget_job(10**15) is None


async def test_odd_rows_are_shown_all_the_same(client: Client, other: Session) -> None:
    (job,) = await add(client)
    deep = "[" * 6000 + "]" * 6000
    odd: list[Any] = [1, None, {"attempt": "x", "at": "never", "message": {"a": 1}}]
    await other.sql("update pgqueue.job set errors = $1::text::jsonb", json.dumps(odd))
    await other.sql("update pgqueue.job set args = jsonb_build_object('n', 1e5000::numeric)")
    await other.sql(
        "update pgqueue.job set metadata = jsonb_build_object('d', $1::text::jsonb)", deep
    )
    await other.sql("update pgqueue.job set position = null, run_at = 'infinity'")
    found = await client.aget_job(job)
    assert found is not None
    assert found.state is JobState.BLOCKED
    assert found.run_at is None
    assert [error.message for error in found.errors] == ["1", "None", "{'a': 1}"]
    assert [one.id for one in await client.alist_jobs(state="blocked")] == [job]


async def one_of_each(client: Client, other: Session) -> dict[str, int]:
    done, dead, running = await add(client, 3)
    await other.claim()
    await other.finish(done)
    await other.bury(dead)
    (cancelled,) = await add(client, queue="mail", tags=["a"])
    await client.acancel(cancelled)
    (scheduled,) = await add(client, delay=60, tags=["a", "b"])
    (pending,) = await add(client, queue="mail", tags=["b"])
    return {
        "completed": done,
        "dead": dead,
        "running": running,
        "cancelled": cancelled,
        "scheduled": scheduled,
        "pending": pending,
    }


async def test_lists_by_state_and_filters(client: Client, other: Session) -> None:
    ids = await one_of_each(client, other)
    for state, job in ids.items():
        found = await client.alist_jobs(state=state)
        assert [(one.id, one.state) for one in found] == [(job, state)]
    newest = sorted(ids.values(), reverse=True)
    assert [one.id for one in await client.alist_jobs()] == newest
    assert [one.id for one in await client.alist_jobs(limit=2)] == newest[:2]
    below = await client.alist_jobs(limit=2, before_id=newest[1])
    assert [one.id for one in below] == newest[2:4]
    mail = await client.alist_jobs(queue="mail")
    assert {one.id for one in mail} == {ids["cancelled"], ids["pending"]}
    tagged = await client.alist_jobs(tag="b")
    assert {one.id for one in tagged} == {ids["scheduled"], ids["pending"]}
    assert await client.alist_jobs(task="other") == []
    assert await client.alist_jobs(state="running", queue="mail") == []
    assert await client.amatch_jobs(tag="a") == [ids["scheduled"]]
    assert await client.amatch_jobs(state="running") == [ids["running"]]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"state": "pendin"}, 'did you mean "pending"'),
        ({"queue": ""}, "queue"),
        ({"queue": "a\nb"}, "control"),
        ({"task": "\0"}, "task name"),
        ({"tag": 3}, "tag"),
        ({"limit": 0}, "limit must be from 1 to 1000"),
        ({"limit": "5"}, "limit"),
        ({"before_id": "x"}, "before_id"),
    ],
)
async def test_wrong_filters_are_refused_before_anything_connects(
    wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        await Client("postgresql://nobody@127.0.0.1:1/x").alist_jobs(**wrong)


async def test_dead_letters_are_listed_counted_purged(client: Client, other: Session) -> None:
    first = await add_dead(client, other, 3)
    second = await add_dead(client, other, 2, queue="mail")
    assert [one.id for one in await client.alist_dead()] == sorted([*first, *second], reverse=True)
    assert [one.id for one in await client.alist_dead(queue="mail", limit=1)] == [second[1]]
    assert await client.alist_dead(reason="nothing like it") == []
    counts = [(c.queue, c.task, int(c.jobs)) for c in await client.acount_dead()]
    assert counts == [("default", "t", 3), ("mail", "t", 2)]

    with pytest.raises(ConfigError, match="say which"):
        await client.apurge_dead()
    dry = await client.apurge_dead(older_than=0, dry_run=True)
    assert (int(dry.matched), dry.deleted) == (5, 0)
    assert (await client.apurge_dead(older_than=timedelta(hours=1))).deleted == 0
    assert (await client.apurge_dead([first[0], second[0]], queue="mail")).deleted == 1
    step = await client.apurge_dead(queue="default", limit=2)
    assert (step.deleted, step.more) == (2, True)
    assert (await client.apurge_dead(older_than=0)).deleted == 2
    assert await other.value("select count(*) from pgqueue.dead") == 0


async def test_queues_are_counted(client: Client, other: Session) -> None:
    await one_of_each(client, other)
    await other.serve("idle")
    await add(client, 3, queue="later", delay=60)
    await client.apause("mail")
    await other.sql("update pgqueue.job set run_at = run_at - interval '90 s' where queue = 'mail'")
    found = {queue.name: queue for queue in await client.aqueues()}
    assert set(found) == {"default", "mail", "idle", "later"}
    counts = {n: (int(q.ready), int(q.running), int(q.scheduled)) for n, q in found.items()}
    assert counts == {
        "default": (0, 1, 1),
        "mail": (1, 0, 0),
        "idle": (0, 0, 0),
        "later": (0, 0, 3),
    }
    assert found["mail"].paused_at is not None
    assert 89 < (found["mail"].oldest_ready_seconds or 0) < 150
    assert found["default"].oldest_ready_seconds is None


async def test_pause_and_resume(client: Client, other: Session) -> None:
    assert [await client.apause("mail"), await client.apause("mail")] == [True, False]
    (job,) = await add(client, queue="mail")
    assert await other.claim("mail") == []
    assert [await client.aresume("mail"), await client.aresume("mail")] == [True, False]
    assert await other.claim("mail") == [job]
    assert await client.aresume("nobody") is False
    assert await client.apause("mail", actor="anna", reason="deploy", via="cli")
    noted = await other.sql(
        "select action, actor, via, reason, target from pgqueue.audit order by id"
    )
    user = noted[0]["actor"]
    assert "@" in user
    assert [tuple(row)[:4] for row in noted] == [
        ("queue.pause", user, "python", None),
        ("queue.resume", user, "python", None),
        ("queue.pause", "anna", "cli", "deploy"),
    ]
    assert {row["target"] for row in noted} == {'{"queue": "mail"}'}
    with pytest.raises(ConfigError):
        await client.apause("")


async def test_workers_are_alive_late_or_stopping(client: Client, other: Session) -> None:
    alive, late, stopping = [await other.serve("a", "b") for _ in range(3)]
    await other.sql(
        "update pgqueue.worker set heartbeat_at = now() - interval '9 s' where id = $1", late
    )
    await other.sql("update pgqueue.worker set stopping = true where id = $1", stopping)
    found = {worker.id: worker for worker in await client.aworkers()}
    assert [found[n].state for n in (alive, late, stopping)] == ["alive", "late", "stopping"]
    assert found[alive].queues == ("a", "b")
    assert 9 <= found[late].heartbeat_age < 60


async def test_status_is_one_snapshot(client: Client, other: Session) -> None:
    await one_of_each(client, other)
    await other.serve("mail")
    status = await client.astatus()
    assert {state: int(count) for state, count in status.jobs.items()} == {
        "scheduled": 1,
        "blocked": 0,
        "pending": 1,
        "running": 1,
        "completed": 1,
        "cancelled": 1,
        "dead": 1,
    }
    assert all(count.exact for count in status.jobs.values())
    assert 0 < (status.next_due_seconds or 0) <= 60
    assert status.schema_version >= 1
    assert len(status.workers) == 1


async def test_a_status_names_the_schedules_that_stand_still(
    client: Client, other: Session
) -> None:
    for name in ("well", "late", "later", "paused", "orphan", "paused orphan"):
        await client.schedules.aset(name, task="report", cron="@daily")
    for name in ("paused", "paused orphan"):
        await client.schedules.apause(name)
    await other.sql(
        "update pgqueue.schedule set next_at = now() - interval '61 s' where name <> 'well'"
    )
    await other.sql(
        "update pgqueue.schedule set next_at = now() - interval '1 h' where name = 'later'"
    )
    await other.sql("update pgqueue.schedule set orphaned_at = now() where name like '%orphan'")
    status = await client.astatus()
    assert list(status.late_schedules) == ["later", "late"]
    assert status.late_schedules["later"] >= 3600 > status.late_schedules["late"] >= 61
    assert status.orphaned_schedules == ("orphan",)


async def test_counts_are_bounded(client: Client, other: Session) -> None:
    await other.sql(
        "insert into pgqueue.job (task, queue, position, run_at)"
        " select 't', 'big', nextval('pgqueue.position_seq'), now() from generate_series(1, 12000)"
    )
    await other.sql(
        "insert into pgqueue.job (task, queue, run_at)"
        " select 't', 'later', now() + interval '1 h' from generate_series(1, 12000)"
    )
    await other.sql(
        "insert into pgqueue.history (id, finished_at, run_at, enqueued_at, attempt, max_attempts,"
        " priority, crash_count, state, queue, task, args)"
        " select n, now(), now(), now(), 1, 1, 5, 0,"
        " case when n % 4 = 0 then 'cancelled' else 'completed' end, 'q', 't', '{}'"
        " from generate_series(1, 20000) as n"
    )
    await other.sql("analyze pgqueue.history")
    status = await client.astatus()
    queues = {queue.name: queue for queue in status.queues}
    assert str(queues["big"].ready) == f"{COUNT_BOUND}+"
    assert not queues["big"].ready.exact
    assert str(queues["later"].scheduled) == f"{COUNT_BOUND}+"
    assert status.jobs["completed"].precision == "about"
    assert 13_000 < status.jobs["completed"] < 17_000
    assert 3_000 < status.jobs["cancelled"] < 7_000


async def test_looks_use_the_indexes_whatever_the_statistics_say(
    client: Client, other: Session
) -> None:
    """Tables without statistics, and large ones: no sequential scan of job or history, no sort."""
    await add(client, 100)
    await other.sql(
        "insert into pgqueue.job (task, queue, position, run_at)"
        " select 't', concat('q', n % 3), nextval('pgqueue.position_seq'), now()"
        " from generate_series(1, 50000) as n"
    )
    await other.sql(
        "insert into pgqueue.history (id, finished_at, run_at, enqueued_at, attempt, max_attempts,"
        " priority, crash_count, state, queue, task, args)"
        " select n, now(), now(), now(), 1, 1, 5, 0, 'completed', 'q', 't', '{}'"
        " from generate_series(1, 20000) as n"
    )
    await other.sql(
        "insert into pgqueue.dead (id, finished_at, run_at, enqueued_at, attempt, max_attempts,"
        " priority, crash_count, reason, queue, task, args)"
        " select n, now(), now(), now(), 1, 1, 5, 0, 'r', 'q', 't', '{}'"
        " from generate_series(1, 20000) as n"
    )
    largest = 2**63 - 1
    cases: list[tuple[str, tuple[Any, ...]]] = [
        ("list_jobs", (None, None, None, None, None, None, largest, 50, 100_000)),
        ("list_jobs", ("completed", None, None, None, None, None, largest, 50, 100_000)),
        ("list_jobs", ("dead", None, None, None, None, None, largest, 50, 100_000)),
        ("last_looked_at", ("completed", largest, 100_000)),
        ("list_waiting_jobs", ("pending", None, None, None, None, None, largest, 50)),
        ("list_dead", (None, None, None, largest, 50)),
        ("count_queues", (COUNT_BOUND,)),
        ("explain_job", (await other.value("select max(id) from pgqueue.job"), AHEAD_BOUND)),
    ]
    for analysed in (False, True):
        if analysed:
            await other.sql("analyze")
        for name, args in cases:
            async with other.connection.transaction():
                await other.run("limit_session", "5000", "off")
                rows = await other.sql(f"explain {statement(name, 'pgqueue')}", *args)
            plan = "\n".join(row[0] for row in rows)
            assert "Seq Scan on job" not in plan, (name, plan)
            assert "Seq Scan on history" not in plan, (name, plan)
            if (analysed and name.startswith("list")) or name == "explain_job":
                assert not re.search(r"\bSort  \(", plan), (name, plan)


async def test_a_list_looks_at_so_many_jobs_and_says_where_to_go_on(
    client: Client, other: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_jobs, "LIST_BOUND", 10)
    (odd,) = await add(client, queue="odd")
    await other.claim("odd")
    await other.finish(odd)
    buried = await add_dead(client, other, queue="odd")
    ids = await add(client, 12)
    page = await client.alist_jobs(queue="odd")
    assert (page, page.before_id) == ([], ids[2])
    page = await client.alist_jobs(queue="odd", before_id=ids[2])
    assert [job.id for job in page] == [*buried, odd]
    assert page.before_id is None
    (newer,) = await add_dead(client, other, queue="odd")
    page = await client.alist_jobs(queue="odd")
    assert [job.id for job in page] == [newer], "some, fewer than the limit, and not the last page"
    assert page.before_id == ids[3]
    # Few wherever they are: dead letters are looked for among themselves.
    dead = await client.alist_jobs(state="dead")
    assert ([job.id for job in dead], dead.before_id) == ([newer, *buried], None)
    (letter,) = page = await client.alist_dead(limit=1)
    assert (letter.id, page.before_id) == (newer, newer)
    page = await client.alist_dead(limit=2, before_id=newer)
    assert ([job.id for job in page], page.before_id) == (buried, None)


async def test_a_look_that_takes_too_long_says_what_to_do(
    client: Client, other: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(client)
    monkeypatch.setitem(session.reading.__wrapped__.__kwdefaults__, "seconds", 0.2)
    async with other.connection.transaction():
        await other.sql("lock table pgqueue.job")
        with pytest.raises(DatabaseError, match="was stopped; narrow it"):
            await client.alist_jobs(queue="mail")
    assert len(await client.alist_jobs()) == 1
    # The bounds ended with the transaction.
    assert await client.pool.arun(lambda c: c.fetchval("show statement_timeout")) == "0"


async def test_migrate_and_schema_status(empty_dsn: str) -> None:
    client = Client(empty_dsn, schema="Odd schema")
    try:
        before = await client.aschema_status()
        assert (before.version, before.ok, before.missing[0]) == (None, False, "0001_first")
        with pytest.raises(SchemaError, match="pgqueue migrate"):
            await client.aqueues()
        assert await client.amigrate() == list(before.missing)
        assert await client.amigrate() == []
        after = await client.aschema_status()
        assert (after.version, after.ok, after.missing) == (after.newest, True, ())
        assert await client.aqueues() == []
    finally:
        await client.aclose()


def test_every_operation_has_a_blocking_twin(dsn: str) -> None:
    client = Client(dsn)
    try:
        job = client.enqueue("t").id
        found = client.get_job(job)
        assert found is not None
        assert found.state is JobState.PENDING
        assert client.match_jobs(task="t") == [job]
        assert client.cancel(job)[0].state == "cancelled"
        assert client.retry(job)[0].state == "pending"
        assert [one.id for one in client.list_jobs()] == [job]
        assert client.list_dead() == []
        assert client.count_dead() == []
        assert client.redrive(queue="q").jobs == ()
        assert client.purge_dead(queue="q").deleted == 0
        assert client.pause("q") is True
        assert client.resume("q") is True
        assert [queue.name for queue in client.queues()] == ["default", "q"]
        assert client.workers() == []
        assert int(client.status().jobs["pending"]) == 1
        assert client.schema_status().ok
        assert client.migrate() == []
    finally:
        client.close()


@pytest.mark.parametrize("holder", [Operations, Schedules])
async def test_both_flavours_of_each_operation_take_the_same(holder: type) -> None:
    import inspect
    from typing import get_type_hints

    verbs = [n for n, f in inspect.getmembers(holder, callable) if not n.startswith("_")]
    verbs = [n for n in verbs if n != "by"]
    twins = [n for n in verbs if f"a{n}" in verbs]
    assert len(verbs) == 2 * len(twins)
    for name in twins:
        one, other = getattr(holder, name), getattr(holder, f"a{name}")
        assert inspect.signature(one) == inspect.signature(other), name
        assert get_type_hints(one) == get_type_hints(other), name
        assert "Work[" not in str(get_type_hints(one)["return"]), name
        assert (one.__name__, other.__name__) == (name, f"a{name}")
        assert one.__doc__ == other.__doc__ or f"see ``{name}``" in other.__doc__, name


def test_a_count_is_a_number_that_says_how_sure_it_is() -> None:
    assert (Count(3), str(Count(3)), Count(3).exact) == (3, "3", True)
    assert str(Count.bounded(COUNT_BOUND)) == str(COUNT_BOUND)
    assert str(Count.bounded(COUNT_BOUND + 1)) == f"{COUNT_BOUND}+"
    assert str(Count(12, "about")) == "~12"


async def test_behind_a_pooler(bouncer_dsn: str) -> None:
    client = Client(bouncer_dsn, pgbouncer=True)
    try:
        assert (await client.amigrate()) == []
        assert (await client.aschema_status()).ok
        job = (await client.aenqueue("t")).id
        assert (await client.acancel(job))[0].state == "cancelled"
        assert (await client.aretry(job))[0].state == "pending"
        assert int((await client.astatus()).jobs["pending"]) == 1
        assert [one.id for one in await client.alist_jobs()] == [job]
        assert await client.amatch_jobs(task="t") == [job]
        assert (await client.aget_job(job)) is not None
        assert await client.apause("default")
        assert await client.aresume("default")
        assert [queue.name for queue in await client.aqueues()] == ["default"]
        assert await client.aworkers() == []
        assert await client.alist_dead() == []
        assert await client.acount_dead() == []
        assert (await client.aredrive(task="t")).jobs == ()
        assert (await client.apurge_dead(task="t")).deleted == 0
    finally:
        await client.aclose()
