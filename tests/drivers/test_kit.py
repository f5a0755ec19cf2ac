"""pgqueue.testing on every connection that can be brought: in its transaction, by real SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from pgqueue import App, Discard, Retry, Snooze
from pgqueue.db.migrate import migrate
from pgqueue.job import NewJob
from pgqueue.testing import Drained, Kit
from tests.drivers import async_callers, blocking_callers
from tests.drivers.caller import CALLERS, Caller
from tests.drivers.observer import Observer
from tests.drivers.test_conformance import DRIVEN, ODD_SCHEMA
from tests.harness.servers import run_apart

assert async_callers
assert blocking_callers

HARD = "100% of $1 :x \\:y \\ 'q' \"z\" {a,b} ☃ null"


class Undo(Exception):
    """Raised by a test to roll back."""


class Asked:
    """A kit on a connection, blocking or not, as a test that blocks calls it."""

    def __init__(self, caller: Caller, app: App) -> None:
        self.caller = caller
        self.app = app
        self.kit = Kit(app, caller.connection)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        runner = self.caller.runner
        if runner is None:
            return getattr(self.kit, name)  # type: ignore[no-any-return]
        awaited = getattr(self.kit, f"a{name}")
        return lambda *args, **kwargs: runner.run(awaited(*args, **kwargs))

    def drain(self, **settings: Any) -> Drained:
        return self.__getattr__("drain")(**settings)  # type: ignore[no-any-return]

    def enqueue(self, *jobs: NewJob) -> list[int]:
        connection, runner = self.caller.connection, self.caller.runner
        if runner is None:
            return [one.id for one in self.app.enqueue_many(jobs, connection=connection)]
        done = runner.run(self.app.aenqueue_many(jobs, connection=connection))
        return [one.id for one in done]


@pytest.fixture(params=DRIVEN)
def caller(dsn: str, request: pytest.FixtureRequest) -> Iterator[Caller]:
    with CALLERS[request.param](dsn) as caller:
        yield caller


@pytest.fixture
def app() -> App:
    return App("postgresql://nobody@localhost:1/none")  # the kit never opens a connection


@pytest.fixture
def asked(caller: Caller, app: App) -> Asked:
    return Asked(caller, app)


def test_jobs_of_an_open_transaction_are_seen_and_run(asked: Asked, observer: Observer) -> None:
    seen: list[object] = []

    @asked.app.task
    def add(a: int, b: int) -> None:
        seen.append(a + b)

    @asked.app.task
    async def say(text: str) -> None:
        seen.append(text)

    with suppress(Undo), asked.caller.transaction():
        asked.enqueue(add.job(1, 2), say.using(queue="mail", tags=["x"], priority=2).job(HARD))
        asked.assert_enqueued(add, args={"b": 2})
        asked.assert_enqueued(say, args={"text": HARD}, queue="mail", tags=["x"], priority=2)
        asked.refute_enqueued(add, args={"b": 3})
        assert [job.args for job in asked.enqueued(say)] == [{"text": HARD}]
        assert observer.jobs() == []
        assert asked.drain() == {"completed": 2}
        assert seen == [3, HARD]
        asked.refute_enqueued()
        assert asked.drain() == {}
        raise Undo
    assert asked.enqueued() == []
    assert observer.jobs() == []


def test_each_outcome_is_the_one_of_a_worker(asked: Asked) -> None:
    @asked.app.task(max_attempts=1)
    def dies() -> None:
        raise ValueError(HARD)

    @asked.app.task
    def fails() -> None:
        raise ValueError(HARD)

    @asked.app.task
    def again() -> None:
        raise Retry(delay=60)

    @asked.app.task
    def later() -> None:
        raise Snooze(60)

    @asked.app.task
    async def never() -> None:
        raise Discard("no")

    with asked.caller.transaction():
        asked.enqueue(*(task.job() for task in (dies, fails, again, later, never)))
        done = asked.drain(raise_errors=False)
        assert done == {"dead": 2, "retried": 2, "snoozed": 1}
        assert [(one.task, one.how) for one in done.failures] == [
            ("dies", "dead"), ("fails", "retried"), ("again", "retried"), ("never", "dead"),
        ]  # fmt: skip
        assert isinstance(done.failures[0].error, ValueError)
        waiting = {job.task: job for job in asked.enqueued()}
        assert {name: job.attempt for name, job in waiting.items()} == {
            "fails": 1, "again": 1, "later": 0,
        }  # fmt: skip
        assert waiting["fails"].errors[0].message == HARD


def test_a_task_that_breaks_the_transaction_fails_alone(asked: Asked) -> None:
    runner, connection = asked.caller.runner, asked.caller.connection

    @asked.app.task(max_attempts=1)
    def breaks() -> None:
        asked.caller.execute("select 1/0")

    @asked.app.task(max_attempts=1)
    async def breaks_too() -> None:
        await asked.app.aenqueue_many([NewJob("x", "[]", {})] * 2, connection=connection)

    @asked.app.task
    def works() -> None:
        pass

    with asked.caller.transaction():
        asked.enqueue((breaks if runner is None else breaks_too).job(), works.job())
        assert asked.drain(raise_errors=False) == {"dead": 1, "completed": 1}
        asked.refute_enqueued()


def test_a_schema_of_any_name_will_do(caller: Caller, dsn: str, observer: Observer) -> None:
    run_apart(migrate(dsn, ODD_SCHEMA))
    app = App("postgresql://nobody@localhost:1/none", schema=ODD_SCHEMA)
    asked = Asked(caller, app)

    @app.task(max_attempts=1)
    def fails(text: str) -> None:
        raise ValueError(text)

    with suppress(Undo), caller.transaction():
        asked.enqueue(fails.job(HARD))
        asked.assert_enqueued(fails, args={"text": HARD})
        assert asked.drain(raise_errors=False) == {"dead": 1}
        raise Undo
