"""Jobs in the context of a Flask application, with sessions of SQLAlchemy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, current_app, g, has_app_context
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from pgqueue import App, ConfigError
from pgqueue.hooks.flask import SyncAppContext, around
from tests.hooks.conftest import Sessions
from tests.worker.support import Eyes, working

pytestmark = pytest.mark.one_pg

NO_JOB: Any = None
DRAINED: Any = SimpleNamespace(is_drained=True)


@pytest.fixture
def engine(dsn: str) -> Iterator[Engine]:
    engine = create_engine(dsn.replace("postgresql://", "postgresql+psycopg://"), pool_size=16)
    with engine.begin() as connection:
        connection.execute(text("create table orders (id int primary key, paid bool)"))
    yield engine
    engine.dispose()


@pytest.fixture
def db(engine: Engine) -> scoped_session[Session]:
    return scoped_session(sessionmaker(engine))


@pytest.fixture
def site() -> Flask:
    return Flask("shop")


async def test_jobs_run_in_the_context_of_the_application(
    dsn: str, eyes: Eyes, site: Flask
) -> None:
    seen: list[object] = []
    app = App(dsn, around=around(site))

    def look() -> None:
        assert "left" not in g, "each job has a context of its own"
        g.left = True
        active: Any = current_app
        seen.append(active._get_current_object())

    @app.task
    def sync() -> None:
        look()

    @app.task
    async def on_loop() -> None:
        await asyncio.sleep(0)
        look()

    async with working(app):
        await app.aenqueue_many([task.job() for _ in range(20) for task in (sync, on_loop)])
        await eyes.settled(completed=40)
    assert seen == [site] * 40
    assert not has_app_context()
    await app.aclose()


async def test_a_failed_transaction_does_not_spoil_the_next_job(
    dsn: str, eyes: Eyes, site: Flask, db: scoped_session[Session], sessions: Sessions
) -> None:
    """And 300 jobs at default settings take no more sessions than threads."""
    app = App(dsn, around=around(site, session=db))

    @app.task(max_attempts=1)
    def breaks() -> None:
        db.execute(text("select 1 / 0"))

    @app.task(max_attempts=1)
    def pay(n: int) -> None:
        db.execute(text("insert into orders values (:n, true)"), {"n": n})
        db.commit()

    async with working(app, concurrency=100):
        for first in range(0, 300, 20):
            await app.aenqueue_many([breaks.job(), *(pay.job(n) for n in range(first, first + 20))])
            await sessions.look()
        await eyes.settled(completed=300, dead=15)
        await sessions.look()
    assert await eyes.value("select count(*) from orders") == 300
    assert sessions.most["theirs"] <= 16
    await app.aclose()


async def test_all_sessions_ended_once_and_the_next_jobs_succeed(
    dsn: str, eyes: Eyes, site: Flask
) -> None:
    url = dsn.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url, pool_size=16, pool_pre_ping=True)
    db = scoped_session(sessionmaker(engine))
    app = App(dsn, around=around(site, session=db))

    @app.task(max_attempts=1)
    def ask() -> None:
        db.execute(text("select 1"))

    async with working(app):
        for total in (20, 40):
            await app.aenqueue_many([ask.job() for _ in range(20)])
            await eyes.settled(completed=total)
            await eyes.sql(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = "
                "current_database() and pid <> pg_backend_pid() "
                "and application_name not like 'pgqueue%'"
            )
    engine.dispose()
    await app.aclose()


def test_inside_a_context_of_the_same_application_none_is_pushed_and_the_session_stays(
    site: Flask, db: scoped_session[Session]
) -> None:
    hook = SyncAppContext(site, db)
    with site.app_context():
        g.value = 1
        before = db()
        assert hook(NO_JOB, lambda: g.value) == 1
        assert db() is before
    other = Flask("other")
    with other.app_context():
        g.value = 1
        assert hook(NO_JOB, lambda: "value" in g) is False
    db.remove()


def test_inside_a_context_of_what_a_test_has_made_a_function_makes_no_other() -> None:
    made: list[Flask] = []

    def create_app() -> Flask:
        made.append(Flask("shop"))
        return made[-1]

    hook = SyncAppContext(create_app, None)
    hook(NO_JOB, lambda: None)
    assert len(made) == 1, "outside of one, it makes its own"
    with create_app().app_context():
        g.value = 1
        assert hook(DRAINED, lambda: g.value) == 1
    assert len(made) == 2


async def test_the_jobs_of_a_worker_do_not_share_the_context_in_which_it_was_started(
    dsn: str, eyes: Eyes
) -> None:
    """As in a command of Flask, whose application the function has made, too."""

    def create_app() -> Flask:
        return Flask("shop")

    app = App(dsn, around=around(create_app))

    @app.task
    def sync() -> None:
        assert "left" not in g
        g.left = True

    @app.task
    async def on_loop() -> None:
        assert "left" not in g
        g.left = True

    with create_app().app_context():
        async with working(app):
            await app.aenqueue_many([task.job() for _ in range(5) for task in (sync, on_loop)])
            await eyes.settled(completed=10)
    await app.aclose()


def test_the_session_is_removed_also_where_the_job_fails(
    site: Flask, db: scoped_session[Session]
) -> None:
    def fails() -> None:
        db.execute(text("select 1 / 0"))

    with pytest.raises(SQLAlchemyError):
        SyncAppContext(site, db)(NO_JOB, fails)
    assert not db.registry.has()


async def test_a_session_with_an_async_remove_is_awaited(site: Flask) -> None:
    removed: list[str] = []

    class AsyncSession:
        async def remove(self) -> None:
            removed.append(current_app.name)

    _, hook = around(site, session=AsyncSession())

    async def job() -> str:
        return current_app.name

    assert await hook(NO_JOB, job) == "shop"
    assert removed == ["shop"]


def test_an_application_may_be_made_with_the_first_job() -> None:
    made: list[Flask] = []

    def create_app() -> Flask:
        made.append(Flask("late"))
        return made[-1]

    hook, _ = around(create_app)
    assert made == []
    for _ in range(2):
        assert hook(NO_JOB, lambda: current_app.name) == "late"
    assert len(made) == 1


def test_what_is_no_application_is_refused(site: Flask) -> None:
    with pytest.raises(ConfigError, match="app must be a Flask application or a function, got 3"):
        around(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="session must have remove"):
        around(site, session=3)  # type: ignore[arg-type]
    hook, _ = around(lambda: 3)  # type: ignore[arg-type, return-value]
    with pytest.raises(ConfigError, match="returned 3, no Flask application"):
        hook(NO_JOB, lambda: None)
