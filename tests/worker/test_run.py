"""What a job is told, what it may come to, and in which order jobs run."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import re
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from pgqueue import App, Backoff, Discard, Retry, RunningJob, Snooze, current_job
from pgqueue.worker.timings import PlanTimings, Timings
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, nth, working

ROUTES = ["direct", "pgbouncer"]

AT_ONCE = Backoff(base=0.0)
TIME = re.compile(r"[0-9]+[.][0-9]{3} s")
# Each look that finds nothing is followed by a step.
EACH_STEP = Timings(plan=PlanTimings(long_walk=-1.0, step_every=0.0))


async def test_async_and_sync_tasks_run(app: App, eyes: Eyes) -> None:
    got: list[tuple[str, int, bool]] = []

    @app.task
    async def on_the_loop(n: int) -> None:
        got.append(("async", n, threading.current_thread() is threading.main_thread()))

    @app.task
    def in_a_thread(n: int) -> None:
        got.append(("sync", n, threading.current_thread() is threading.main_thread()))

    await app.aenqueue_many([on_the_loop.job(1), in_a_thread.job(2)])
    async with working(app):
        await eyes.settled(completed=2)
    assert sorted(got) == [("async", 1, True), ("sync", 2, False)]


async def test_a_job_is_told_about_itself(app: App, eyes: Eyes) -> None:
    told: dict[str, tuple[Any, ...]] = {}

    def tell(name: str, job: RunningJob) -> None:
        told[name] = (
            job.id, job.queue, job.priority, job.attempt, job.max_attempts, job.crash_count,
            job.tags, dict(job.metadata), job.task, job.is_cancelled, job.is_completed,
        )  # fmt: skip
        assert abs((datetime.now(UTC) - job.enqueued_at).total_seconds()) < 60

    @app.task
    async def on_the_loop(n: int) -> None:
        tell("on_the_loop", current_job())

    @app.task
    def in_a_thread(n: int) -> None:
        tell("in_a_thread", current_job())

    ids = {}
    for task in (on_the_loop, in_a_thread):
        bound = task.using(priority=3, max_attempts=7, tags=["a", "b"], metadata={"k": [1]})
        ids[task.name] = (await bound.aenqueue(n=1)).id
    async with working(app):
        await eyes.settled(completed=2)
    for name, job_id in ids.items():
        assert told[name] == (
            job_id, "default", 3, 1, 7, 0, ("a", "b"), {"k": [1]}, name, False, False,
        )  # fmt: skip


@pytest.mark.past_bug(101)
async def test_arguments_with_our_own_names_are_delivered(app: App, eyes: Eyes) -> None:
    got: list[Any] = []

    @app.task
    async def names(task: str, args: list[int], job: str, queue: str, self: int) -> None:
        got.append((task, args, job, queue, self))

    await names.aenqueue(task="t", args=[1], job="j", queue="q", self=5)
    async with working(app):
        await eyes.settled(completed=1)
    assert got == [("t", [1], "j", "q", 5)]


async def test_fails_until_dead_with_its_whole_history(app: App, eyes: Eyes) -> None:
    @app.task(max_attempts=3, retry=AT_ONCE)
    async def fail() -> None:
        job = current_job()
        raise ValueError(f"no {job.attempt}")

    job_id = (await fail.aenqueue()).id
    async with working(app) as worker:
        row = await eyes.reaches(job_id, "dead")
        counts = worker.statistics()
    errors = await eyes.errors(job_id)
    assert [(e["attempt"], e["type"], e["message"]) for e in errors] == [
        (1, "ValueError", "no 1"), (2, "ValueError", "no 2"), (3, "ValueError", "no 3"),
    ]  # fmt: skip
    assert all("test_run.py" in e["traceback"] and e["at"] and e["worker"] for e in errors)
    assert row["attempt"] == 3
    assert "failed 3 times" in row["reason"]
    assert (counts.retried, counts.dead) == (2, 1)


async def test_one_line_for_each_attempt(
    app: App, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task(max_attempts=2, retry=AT_ONCE)
    async def end(ok: bool) -> None:
        if not ok:
            raise ValueError("no\nway")

    good, bad = [one.id for one in await app.aenqueue_many([end.job(True), end.job(False)])]
    with caplog.at_level(logging.INFO, "pgqueue"):
        async with working(app, queues=["default", "defualt"]):
            await eyes.settled(completed=1, dead=1)
    said = {(r.levelname, TIME.sub("0.1 s", r.getMessage())) for r in caplog.records}
    assert said >= {
        ("INFO", f"job {good} (end) completed in 0.1 s, attempt 1 of 2, after a wait of 0.1 s"),
        ("WARNING", f"job {bad} (end) failed in attempt 1 of 2 after 0.1 s: ValueError: no; "
                    "retry in 0 s"),
        ("ERROR", f"job {bad} (end) failed in attempt 2 of 2 after 0.1 s: ValueError: no; "
                  "dead: failed 2 times, the last with ValueError"),
        ("WARNING", 'queue "defualt" is the default of no task of this app; '
                    'did you mean "default"?'),
    }  # fmt: skip


async def test_the_line_of_a_failure_carries_the_error_with_the_ones_in_its_group(
    app: App, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task(max_attempts=1)
    async def fail() -> None:
        async with asyncio.TaskGroup() as group:
            for word in ("one", "two"):
                group.create_task(boom(word))

    async def boom(word: str) -> None:
        raise LookupError(word)

    job_id = (await fail.aenqueue()).id
    with caplog.at_level(logging.INFO, "pgqueue"):
        async with working(app):
            await eyes.settled(dead=1)
    (record,) = [r for r in caplog.records if "failed in attempt" in r.getMessage()]
    fields = vars(record)
    assert "LookupError: one (and 1 more in its group)" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is ExceptionGroup
    assert "in the group: LookupError: two" in (record.exc_text or "")
    assert "in boom" in (record.exc_text or "")
    assert (fields["job_id"], fields["task"], fields["error_type"]) == (
        job_id, "fail", "LookupError",
    )  # fmt: skip
    assert fields["outcome"] == "dead"
    assert fields["wait"] >= 0
    assert fields["duration"] > 0


async def test_the_wait_of_a_job_begins_when_it_is_due(
    app: App, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task
    async def work(size: int, text: str) -> None: ...

    late, large = [
        one.id for one in await app.aenqueue_many([work.job(0, ""), work.job(1, "x" * 1_000_000)])
    ]
    long_ago = "update pgqueue.job set enqueued_at = enqueued_at - interval '1 h', run_at = run_at"
    await eyes.sql(f"{long_ago} - interval '90 s' where id = $1", large)
    await eyes.sql(f"{long_ago} where id = $1", late)
    with caplog.at_level(logging.INFO, "pgqueue"):
        async with working(app):
            await eyes.settled(completed=2)
    waits = {vars(r)["job_id"]: vars(r)["wait"] for r in caplog.records if "wait" in vars(r)}
    assert 90 <= waits[large] < 1800
    assert waits[late] < 1800


async def test_an_idle_worker_has_nothing_to_sum_up(
    app: App, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task
    async def note() -> None: ...

    def summaries() -> int:
        return sum("0 to be written" in r.getMessage() for r in caplog.records)

    with caplog.at_level(logging.INFO, "pgqueue"):
        async with working(app, summary_interval=0.2, poll_interval=0.05) as worker:
            claims = worker.statistics().claims
            await eventually(lambda: worker.statistics().claims > claims + 10)
            assert summaries() == 0
            await note.aenqueue()
            await eventually(lambda: summaries() == 1)


async def test_retry_snooze_discard(app: App, eyes: Eyes) -> None:
    attempts: dict[str, list[int]] = {"retry": [], "snooze": [], "discard": []}

    @app.task(max_attempts=3)
    async def choose(what: str) -> None:
        job = current_job()
        attempts[what].append(job.attempt)
        if len(attempts[what]) == 1:
            match what:
                case "retry":
                    raise Retry("later", delay=0.05)
                case "snooze":
                    raise Snooze(0.05)
                case _:
                    raise Discard("of no use")

    ids = {what: (await choose.aenqueue(what)).id for what in attempts}
    async with working(app):
        await eyes.settled(completed=2, dead=1)
    assert attempts == {"retry": [1, 2], "snooze": [1, 1], "discard": [1]}
    assert (await eyes.job(ids["discard"]))["reason"] == "discarded: of no use"
    assert [e["type"] for e in await eyes.errors(ids["retry"])] == ["pgqueue.errors.Retry"]
    assert await eyes.errors(ids["snooze"]) == []


async def test_retry_is_dead_when_no_attempt_is_left(app: App, eyes: Eyes) -> None:
    @app.task(max_attempts=2)
    async def again() -> None:
        raise Retry("once more", delay=0.0)

    job_id = (await again.aenqueue()).id
    async with working(app):
        row = await eyes.reaches(job_id, "dead")
    assert row["attempt"] == 2


@pytest.mark.parametrize("delay", [1e12, 1e300])
async def test_a_delay_beyond_all_calendars_is_cut_to_the_longest(
    app: App, eyes: Eyes, delay: float
) -> None:
    @app.task
    async def far(kind: str) -> None:
        raise Snooze(delay) if kind == "snooze" else Retry(delay=delay)

    @app.task
    async def near() -> None: ...

    await app.aenqueue_many([far.job("snooze"), far.job("retry")])
    async with working(app):
        await eyes.settled(scheduled=2)
        await near.aenqueue()
        await eyes.settled(scheduled=2, completed=1)


async def test_policy_per_exception(app: App, eyes: Eyes) -> None:
    def policy(attempt: int, error: BaseException) -> float | None:
        return None if isinstance(error, KeyError) else 0.0

    @app.task(max_attempts=3, retry=policy)
    async def by_policy(kind: str) -> None:
        raise KeyError(kind) if kind == "key" else ValueError(kind)

    key = (await by_policy.aenqueue("key")).id
    value = (await by_policy.aenqueue("value")).id
    async with working(app):
        await eyes.settled(dead=2)
    assert (await eyes.job(key))["attempt"] == 1
    assert (await eyes.job(value))["attempt"] == 3


class _Rude(BaseException):
    pass


@pytest.mark.parametrize(
    "answer", [ValueError("policy"), SystemExit(3), KeyboardInterrupt(), _Rude(), "soon", -1, []]
)
async def test_a_policy_that_fails_costs_nobody_anything(app: App, eyes: Eyes, answer: Any) -> None:
    def policy(attempt: int, error: BaseException) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    @app.task(retry=policy)
    async def fail() -> None:
        raise ValueError

    @app.task
    async def neighbour() -> None: ...

    job_id = (await fail.aenqueue()).id
    async with working(app):
        await neighbour.aenqueue()
        await eyes.settled(scheduled=1, completed=1)
    assert [e["type"] for e in await eyes.errors(job_id)] == ["ValueError"]


async def test_async_timeout(app: App, eyes: Eyes) -> None:
    ended: list[str] = []

    @app.task(timeout=30, max_attempts=1)
    async def slow(name: str) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(name)
            raise

    job_id = (await slow.using(timeout=0.1).aenqueue("own")).id
    async with working(app):
        row = await eyes.reaches(job_id, "dead")
    assert ended == ["own"]
    (error,) = await eyes.errors(job_id)
    assert error["type"] == "TimeoutError"
    assert "0.1 s" in error["message"]
    assert "TimeoutError" in row["reason"]


async def test_the_task_s_timeout_holds_without_one_of_the_job(app: App, eyes: Eyes) -> None:
    @app.task(timeout=0.05, max_attempts=1)
    async def slow() -> None:
        await asyncio.sleep(60)

    @app.task(timeout=0.05, max_attempts=1)
    async def longer() -> None:
        await asyncio.sleep(0.2)

    dead = (await slow.aenqueue()).id
    done = (await longer.using(timeout=30).aenqueue()).id
    async with working(app):
        await eyes.reaches(dead, "dead")
        await eyes.reaches(done, "completed")


async def test_a_thread_past_its_timeout_keeps_its_slot(app: App, eyes: Eyes) -> None:
    release = threading.Event()
    seen: list[bool] = []
    started = threading.Event()

    @app.task(timeout=0.1, max_attempts=1)
    def stuck() -> None:
        job = current_job()
        started.set()
        release.wait(20)
        seen.append(job.is_cancelled)
        raise ValueError("late")

    @app.task
    async def other() -> None: ...

    job_id = (await stuck.aenqueue()).id
    async with working(app, concurrency=1, max_prefetch=0) as worker:
        try:
            await eyes.reaches(job_id, "dead")
            waiting = (await other.aenqueue()).id
            claims = worker.statistics().claims
            assert worker.statistics().running == 1
            await eventually(lambda: worker.statistics().claims >= claims)
            assert (await eyes.job(waiting))["state"] == "pending"
        finally:
            release.set()
        await eyes.reaches(waiting, "completed")
        assert worker.statistics().running == 0
    assert seen == [True]
    assert [e["type"] for e in await eyes.errors(job_id)] == ["TimeoutError"]


async def test_priorities_then_age(app: App, eyes: Eyes) -> None:
    order: list[tuple[int, int]] = []

    @app.task
    async def note(priority: int, n: int) -> None:
        order.append((priority, n))

    for n in range(3):
        for priority in (9, 5, 0):
            await note.using(priority=priority).aenqueue(priority, n)
    async with working(app, concurrency=1, max_prefetch=0):
        await eyes.settled(completed=9)
    assert order == [(p, n) for p in (0, 5, 9) for n in range(3)]


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_long_queue_does_not_starve_a_short_one(
    app: App, eyes: Eyes, concurrency: int
) -> None:
    ran: list[str] = []

    @app.task(queue="long")
    async def many() -> None:
        ran.append("long")
        await asyncio.sleep(0.001)

    @app.task(queue="short")
    async def few() -> None:
        ran.append("short")

    @app.task(queue="idle")
    async def none() -> None: ...

    await app.aenqueue_many([many.job() for _ in range(10_000)])
    async with working(app, concurrency=concurrency, grace=0):
        await eventually(nth(ran, 20))
        ids = [e.id for e in await app.aenqueue_many([few.job() for _ in range(5)])]
        for job_id in ids:
            await eyes.reaches(job_id, "completed")
    assert ran.count("long") < 9_000


async def test_unknown_tasks_stay_and_are_named_once(
    app: App, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task
    async def known() -> None: ...

    stranger = (await app.aenqueue("os.system", {"command": "true"})).id
    job_id = (await known.aenqueue()).id
    with caplog.at_level(logging.WARNING, "pgqueue"):
        async with working(app, poll_interval=0.1, timings=Timings(unknown_every=0.3)) as worker:
            await eyes.reaches(job_id, "completed")
            claims = worker.statistics().claims
            await eventually(lambda: "os.system" in caplog.text)
            await eventually(lambda: worker.statistics().claims > claims + 8)
    assert caplog.text.count('"os.system"') == 1
    row = await eyes.job(stranger)
    assert (row["state"], row["attempt"]) == ("pending", 0)


@pytest.mark.law(6)
async def test_what_others_are_to_run_is_walked_over_once(app: App, eyes: Eyes) -> None:
    """Jobs of tasks that it does not know are behind a worker's cursors soon; and so is a job of
    its own that was given its position among them, is committed later, and runs all the same."""

    @app.task
    async def known() -> None: ...

    async def passed() -> bool:
        newest = await eyes.value("select max(position) from pgqueue.job")
        cursors: list[int] = worker.machines.claimer.cursors()
        return min(cursors) >= newest

    async with working(app, poll_interval=0.2, timings=EACH_STEP) as worker:
        async with eyes.connection.transaction():
            late = (await known.using(connection=eyes.connection).aenqueue()).id
            strangers = await app.aenqueue_many([app.job("os.system", {"n": 1})] * 1000)
            await eventually(passed)
            before = worker.machines.claimer.cursors()
        await eyes.reaches(late, "completed")
        soon = (await known.aenqueue()).id
        await eyes.reaches(soon, "completed")
        await eventually(passed)
        # Nothing is left to be searched below them, either.
        await eventually(
            lambda: (
                worker.machines.heartbeat_thread.maintenance.passed.floor.position
                >= strangers[-1].id
            )
        )
    assert min(before) > 0
    assert await eyes.value("select count(*) from pgqueue.job where attempt = 0") == 1000


@pytest.mark.law(6)
async def test_a_paused_queue_is_not_stepped_over(app: App, eyes: Eyes) -> None:
    @app.task
    async def known() -> None: ...

    await app.apause("default")
    async with working(app, poll_interval=0.1, timings=EACH_STEP) as worker:
        job_id = (await known.aenqueue()).id
        claims = worker.statistics().claims
        await eventually(lambda: worker.statistics().claims > claims + 8)
        assert set(worker.machines.claimer.cursors()) == {0}
        await app.aresume("default")
        await eyes.reaches(job_id, "completed")


@pytest.mark.past_bug(7)
async def test_arguments_that_do_not_fit_keep_no_other_job(app: App, eyes: Eyes) -> None:
    ran: list[int] = []

    @app.task(max_attempts=1)
    async def strict(n: int) -> None:
        ran.append(n)

    jobs = await app.aenqueue_many([strict.job(n) for n in range(10)])
    bad = jobs[3].id
    await eyes.sql("""update pgqueue.job set args = '{"n": "three", "m": 1}' where id = $1""", bad)
    async with working(app) as worker:
        await eyes.settled(completed=9, scheduled=1)
        counts = worker.statistics()
    assert sorted(ran) == [n for n in range(10) if n != 3]
    assert (counts.retried, counts.dead) == (0, 0)
    row = await eyes.job(bad)
    assert row["attempt"] == 0
    (error,) = await eyes.errors(bad)
    assert error["type"] == "ArgumentsDoNotFit"
    assert "$." in error["message"]


async def test_new_arguments_wait_for_a_new_worker(
    app: App, dsn: str, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    """Two versions of a task at a time, as during a deployment, of jobs with a single attempt."""
    ran: list[tuple[int, int]] = []
    new_app = App(dsn)

    @app.task(name="mail", max_attempts=1)
    async def old(n: int) -> None: ...

    @new_app.task(name="mail", max_attempts=1)
    async def new(n: int, m: int) -> None:
        ran.append((n, m))

    ids = [e.id for e in await new_app.aenqueue_many([new.job(n, 7) for n in range(5)])]
    async with working(app):
        await eyes.settled(scheduled=5)
    due = "select min(run_at - now()) > '20 s', max(run_at - now()) < '40 s' from pgqueue.job"
    assert [tuple(row) for row in await eyes.sql(due)] == [(True, True)]
    assert caplog.text.count('do not fit task "mail" as this worker knows it') == 1
    assert "$.m: stored arguments do not fit" in caplog.text
    status = await app.astatus()
    assert dict(status.misfits) == {"mail": 5}
    async with working(new_app):
        for job_id in ids:
            await new_app.aretry(job_id)
        await eyes.settled(completed=5)
    assert sorted(ran) == [(n, 7) for n in range(5)]
    assert dict((await app.astatus()).misfits) == {}
    await new_app.aclose()


async def test_what_fits_no_worker_is_dead_after_some_tries_and_has_them_again(
    app: App, eyes: Eyes
) -> None:
    @app.task(max_attempts=1)
    async def strict(n: int) -> None: ...

    job_id = (await strict.aenqueue(1)).id
    await eyes.sql("""update pgqueue.job set args = '{"n": "one"}'""")
    for rounds in (1, 2):
        async with working(app, timings=Timings(misfits=(0.0, 0.01, 0.0))):
            row = await eyes.reaches(job_id, "dead")
        assert "did not fit in 4 tries" in row["reason"]
        assert "$.n" in row["reason"]
        kinds = [error["type"] for error in await eyes.errors(job_id)]
        assert kinds == [*["ArgumentsDoNotFit"] * 3, "pgqueue.errors.PayloadError"] * rounds
        await app.aredrive(job_id)


@pytest.mark.past_bug(31)
async def test_a_row_past_its_attempts_is_buried(app: App, eyes: Eyes) -> None:
    ran: list[int] = []

    @app.task(max_attempts=3)
    async def note(n: int) -> None:
        ran.append(n)

    first, second = [e.id for e in await app.aenqueue_many([note.job(1), note.job(2)])]
    await eyes.sql("update pgqueue.job set attempt = max_attempts where id = $1", first)
    async with working(app):
        row = await eyes.reaches(first, "dead")
        await eyes.reaches(second, "completed")
    assert "no attempts left" in row["reason"]
    assert ran == [2]


@pytest.mark.past_bug(31)
async def test_a_row_whose_counts_cannot_grow_ends_alone(app: App, eyes: Eyes) -> None:
    """At the head of its queue it would fail each claim, were the count to overflow."""

    @app.task
    async def note(n: int) -> None: ...

    first, second, third, _ = [
        e.id for e in await app.aenqueue_many([note.job(n) for n in range(4)])
    ]
    put = "update pgqueue.job set attempt = $2, crash_count = $3 where id = $1"
    await eyes.sql(put, first, 2**31 - 1, 0)
    await eyes.sql(put, second, 0, 2**15 - 1)
    await eyes.sql(put, third, 2**31 - 1, 2**15 - 1)
    async with working(app):
        await eyes.settled(completed=2, dead=2)


@pytest.mark.past_bug(92)
@pytest.mark.parametrize("how", ["delay", "retry"])
async def test_a_delay_is_not_rounded_up_to_the_poll(app: App, eyes: Eyes, how: str) -> None:
    """Neither poll nor heartbeat comes round while the test waits.

    But the heartbeat does where nobody could tell: another's enqueue, past a pooler.
    """
    tries: list[int] = []
    untold = app.pool.pooled and how == "delay"

    @app.task(max_attempts=2, retry=Backoff(base=0.3, jitter=0.0))
    async def note() -> None:
        tries.append(1)
        if how == "retry" and len(tries) == 1:
            raise ValueError

    heartbeat = 0.3 if untold else 200.0
    async with working(app, poll_interval=600.0, heartbeat=heartbeat, lease=601.0):
        await note.using(delay=0.3 if how == "delay" else 0.0).aenqueue()
        await eyes.settled(completed=1)
    assert len(tries) == (2 if how == "retry" else 1)


@pytest.mark.past_bug(28)
async def test_a_row_snoozed_again_and_again_stays_small(app: App, eyes: Eyes) -> None:
    rounds = 0

    @app.task
    async def put_off() -> None:
        nonlocal rounds
        job = current_job()
        rounds += 1
        assert job.attempt == 1
        raise Snooze(0.0 if rounds < 200 else 3600.0)

    job_id = (await put_off.aenqueue()).id
    size = "select pg_column_size(j) from pgqueue.job as j where id = $1"
    before = await eyes.value(size, job_id)
    async with working(app):
        await eventually(lambda: rounds >= 200)
        await eyes.settled(scheduled=1)
    assert await eyes.value(size, job_id) < before + 100


async def test_context_variables_end_with_their_job(app: App, eyes: Eyes) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    seen: list[int] = []

    @app.task
    async def on_the_loop(n: int) -> None:
        seen.append(variable.get())
        variable.set(n)

    @app.task
    def in_a_thread(n: int) -> None:
        seen.append(variable.get())
        variable.set(n)

    await app.aenqueue_many(
        [task.job(n) for n in range(1, 50) for task in (on_the_loop, in_a_thread)]
    )
    async with working(app, concurrency=1):
        await eyes.settled(completed=98)
    assert set(seen) == {0}


async def test_a_job_that_cancels_its_own_task_does_not_end_the_next(app: App, eyes: Eyes) -> None:
    @app.task(max_attempts=1)
    async def rude() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    @app.task(max_attempts=1)
    async def innocent() -> None:
        await asyncio.sleep(0)

    await app.aenqueue_many([t.job() for _ in range(5) for t in (rude, innocent)])
    async with working(app, concurrency=1):
        await eyes.settled(completed=10)


@pytest.mark.past_bug(27)
async def test_deleted_while_it_runs(
    app: App, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    gate = asyncio.Event()
    started: list[int] = []

    @app.task
    async def wait(n: int) -> None:
        started.append(n)
        await gate.wait()

    ids = [e.id for e in await app.aenqueue_many([wait.job(n) for n in range(5)])]
    with caplog.at_level(logging.WARNING, "pgqueue"):
        async with working(app) as worker:
            await eventually(nth(started, 5))
            await eyes.sql("delete from pgqueue.job where id = $1", ids[2])
            gate.set()
            await eyes.settled(completed=4)
            await eventually(lambda: f"job {ids[2]} was not this worker's" in caplog.text)
            assert worker.statistics().completed == 4


@pytest.mark.past_bug(27)
async def test_all_of_a_batch_deleted(
    app: App, eyes: Eyes, caplog: pytest.LogCaptureFixture
) -> None:
    gate = asyncio.Event()
    started: list[int] = []

    @app.task
    async def wait() -> None:
        started.append(1)
        await gate.wait()

    job_id = (await wait.aenqueue()).id
    with caplog.at_level(logging.WARNING, "pgqueue"):
        async with working(app) as worker:
            await eventually(nth(started, 1))
            await eyes.sql("delete from pgqueue.job where id = $1", job_id)
            gate.set()
            await eventually(lambda: f"job {job_id} was not this worker's" in caplog.text)
            assert worker.statistics().completed == 0


@pytest.mark.past_bug(99)
async def test_a_failure_is_recorded_once(app: App, eyes: Eyes) -> None:
    @app.task(max_attempts=1)
    async def fail() -> None:
        raise ValueError

    job_id = (await fail.aenqueue()).id
    async with working(app) as worker:
        await eyes.reaches(job_id, "dead")
        # The same outcome once more, as after an answer that was lost.
        row = (await eyes.sql("select * from pgqueue.dead where id = $1", job_id))[0]
        from pgqueue.outcome import Dead
        from pgqueue.worker.receipt import Entry

        worker.machines.completer.add(Entry(job_id, row["claim_token"], Dead("twice", None)))
        await eventually(lambda: worker.machines.completer.backlog == 0)
        await fail.aenqueue()
        await eyes.settled(dead=2)
    assert len(await eyes.errors(job_id)) == 1
    assert "twice" not in (await eyes.job(job_id))["reason"]


async def test_max_jobs(app: App, eyes: Eyes) -> None:
    ran: list[int] = []

    @app.task
    async def note(n: int) -> None:
        await asyncio.sleep(0.05)
        ran.append(n)

    await app.aenqueue_many([note.job(n) for n in range(30)])
    from pgqueue import Worker
    from tests.worker.support import quick

    worker = Worker(app, **quick(max_jobs=7, concurrency=3))
    await asyncio.wait_for(worker.run(), 60)
    assert len(ran) == 7
    await eyes.settled(completed=7, pending=23)


async def test_one_row_locked_by_somebody_else_holds_up_no_other_outcome(
    app: App, dsn: str, eyes: Eyes
) -> None:
    import asyncpg

    gate = asyncio.Event()
    started: list[int] = []

    @app.task(max_attempts=1)
    async def wait(fails: bool) -> None:
        started.append(1)
        await gate.wait()
        if fails:
            raise ValueError

    jobs = await app.aenqueue_many([wait.job(fails) for fails in (False, True) * 3])
    other = await asyncpg.connect(dsn)
    async with working(app):
        await eventually(nth(started, 6))
        transaction = other.transaction()
        await transaction.start()
        held = [jobs[0].id, jobs[1].id]
        await other.execute("select from pgqueue.job where id = any ($1) for update", held)
        gate.set()
        await eyes.settled(completed=2, dead=2, running=2)
        await app.aenqueue_many([wait.job(fails=False)])
        await eyes.settled(completed=3, dead=2, running=2)
        await transaction.rollback()
        await other.close()
        await eyes.settled(completed=4, dead=3)
