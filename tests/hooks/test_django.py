"""Jobs that use Django's ORM, with a real model: sessions, threads, transactions."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections, transaction
from psycopg.conninfo import conninfo_to_dict

from pgqueue import App, Client, ConfigError, RunningJob, Unreachable, Worker
from pgqueue.db.migrate import migrate
from pgqueue.hooks.django import SyncConnections, around
from tests.drivers.blocking_callers import django_database
from tests.harness.servers import with_database
from tests.harness.waiting import eventually, wait_until
from tests.hooks.conftest import Sessions
from tests.hooks.shop import Order
from tests.worker.support import Eyes, quick, working

pytestmark = pytest.mark.one_pg

THREADS = 16


def make_table() -> None:
    with connection.schema_editor() as editor:
        editor.create_model(Order)
    connection.close()


@pytest.fixture
async def app(django_dsn: str) -> Any:
    await asyncio.to_thread(in_thread, make_table)
    app = App(django_dsn, around=around())

    @app.task
    def pay(order: int) -> None:
        Order.objects.filter(pk=order).update(paid=True)

    @app.task
    async def apay(order: int) -> None:
        await Order.objects.filter(pk=order).aupdate(paid=True)

    yield app
    await app.aclose()


def in_thread(call: Any) -> None:
    """Call it, and leave no connection in this thread."""
    try:
        call()
    finally:
        connections.close_all()


async def enqueue(dsn: str, *jobs: tuple[str, int]) -> None:
    """Enqueue so many jobs of each task, each with an order of its own."""
    client = Client(dsn)
    for task, count in jobs:
        new = await asyncio.to_thread(orders, count)
        await client.aenqueue_many([client.job(task, {"order": n}) for n in new])
    await client.aclose()


def orders(count: int) -> list[int]:
    try:
        made = Order.objects.bulk_create([Order() for _ in range(count)])
        return [order.pk for order in made]
    finally:
        connections.close_all()


async def unpaid() -> int:
    def count() -> int:
        try:
            return Order.objects.filter(paid=False).count()
        finally:
            connections.close_all()

    return await asyncio.to_thread(count)


@pytest.mark.parametrize(
    ("sync_jobs", "async_jobs"),
    [(300, 100), pytest.param(3000, 1000, marks=pytest.mark.long)],
)
async def test_sessions_are_bounded_and_none_is_left(
    app: App, eyes: Eyes, sessions: Sessions, django_dsn: str, sync_jobs: int, async_jobs: int
) -> None:
    """At default settings: one kind after the other, and then a few of both together."""
    total = 0
    for jobs in ([("pay", sync_jobs)], [("apay", async_jobs)], [("pay", 100), ("apay", 100)]):
        await enqueue(django_dsn, *jobs)
        total += sum(count for _, count in jobs)
        sessions.most = {"theirs": 0, "all": 0}
        async with working(app, concurrency=100):

            async def settled(total: int = total) -> bool:
                await sessions.look()
                return (await eyes.states()) == {"completed": total}

            await eventually(settled)
        kinds = len(jobs)
        assert 0 < sessions.most["theirs"] <= kinds * THREADS
        assert sessions.most["all"] <= 4 + kinds * THREADS

        async def gone() -> bool:
            return not (await sessions.look())["all"]

        await eventually(gone, what="no session is left")
    assert await unpaid() == 0


def test_the_database_of_djangos_tests_is_dropped_without_force(dsn: str) -> None:
    """Django creates it and drops it; a session of ours that is left would be an error."""
    name = conninfo_to_dict(dsn)["dbname"]
    with django_database(dsn, "default"):
        test_dsn = with_database(
            dsn, connection.creation.create_test_db(verbosity=0, serialize=False)
        )
        try:
            make_table()
            asyncio.run(migrate(test_dsn, "pgqueue"))
            app = App(test_dsn, around=around())

            @app.task
            def pay(order: int) -> None:
                Order.objects.filter(pk=order).update(paid=True)

            @app.task
            async def apay(order: int) -> None:
                await Order.objects.filter(pk=order).aupdate(paid=True)

            with Worker(app, **quick()).start_in_thread():
                app.enqueue_many([task.job(n) for n in orders(40) for task in (pay, apay)])
                wait_until(lambda: not Order.objects.filter(paid=False).exists())
            app.close()
        finally:
            connection.creation.destroy_test_db(name, verbosity=0)
    with pytest.raises(Unreachable):
        asyncio.run(migrate(test_dsn, "pgqueue"))


@pytest.mark.parametrize("task", ["pay", "apay"])
async def test_after_all_sessions_were_ended_the_next_jobs_succeed(
    app: App, eyes: Eyes, django_dsn: str, task: str
) -> None:
    async with working(app):
        await enqueue(django_dsn, (task, 20))
        await eyes.settled(completed=20)
        await eyes.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid() "
            "and application_name not like 'pgqueue%'"
        )
        await enqueue(django_dsn, (task, 20))
        await eyes.settled(completed=40)
    retried = await eyes.value("select count(*) from pgqueue.jobs where attempt > 1")
    assert retried == 0
    assert await unpaid() == 0


async def test_async_orm_jobs_run_beside_each_other(app: App, eyes: Eyes) -> None:
    """Django itself has one thread for all of them: four such jobs would follow each other."""
    meet = threading.Barrier(4)

    def wait_for_others() -> None:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
        meet.wait(timeout=60)

    @app.task
    async def together() -> None:
        await sync_to_async(wait_for_others)()

    async with working(app):
        await app.aenqueue_many([together.job() for _ in range(4)])
        await eyes.settled(completed=4)


async def test_an_async_job_keeps_its_thread_and_one_without_orm_takes_none(
    app: App, eyes: Eyes
) -> None:
    threads: list[str] = []

    @app.task
    async def idle() -> None:
        threads.extend(t.name for t in threading.enumerate() if t.name.startswith("pgqueue-orm"))

    @app.task
    async def twice() -> None:
        names = [await sync_to_async(lambda: threading.current_thread().name)() for _ in range(3)]
        assert len(set(names)) == 1
        assert names[0].startswith("pgqueue-orm")

    async with working(app):
        await eyes.reaches((await idle.aenqueue()).id, "completed")
        assert threads == []
        await app.aenqueue_many([twice.job() for _ in range(100)])
        await eyes.settled(completed=101)
        orm = [t for t in threading.enumerate() if t.name.startswith("pgqueue-orm")]
        assert 0 < len(orm) <= THREADS


async def test_more_async_jobs_than_threads_share_them(django_dsn: str, eyes: Eyes) -> None:
    app = App(django_dsn, around=around(threads=2))
    names: set[int] = set()

    def query() -> None:
        names.add(threading.get_ident())
        with connection.cursor() as cursor:
            cursor.execute("select pg_sleep(0.01)")

    @app.task
    async def ask() -> None:
        await sync_to_async(query)()

    await app.aenqueue_many([ask.job() for _ in range(30)])
    async with working(app):
        await eyes.settled(completed=30)
    assert len(names) == 2


async def test_a_job_that_leaves_a_transaction_open_does_not_spoil_the_next(
    app: App, eyes: Eyes
) -> None:
    seen: list[bool] = []

    @app.task
    def leaves() -> None:
        seen.append(connection.in_atomic_block)
        transaction.atomic().__enter__()
        Order.objects.create()

    async with working(app, threads=1):
        for _ in range(2):
            await eyes.reaches((await leaves.aenqueue()).id, "completed")
    assert seen == [False, False]
    assert await unpaid() == 0, "nobody committed it"


async def test_inside_a_transaction_of_the_caller_nothing_is_closed(django_dsn: str) -> None:
    """As in a TestCase that runs jobs on its own connection."""

    def in_test() -> None:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("select pg_backend_pid()")
                before = cursor.fetchone()
            hook, job = SyncConnections(), RunningJob({}, 1, None, False)  # type: ignore[arg-type]
            assert hook(job, lambda: "result") == "result"
            assert connection.in_atomic_block
            with connection.cursor() as cursor:
                cursor.execute("select pg_backend_pid()")
                assert cursor.fetchone() == before

    await asyncio.to_thread(in_thread, in_test)


async def test_the_log_of_queries_does_not_grow(app: App, eyes: Eyes) -> None:
    lengths: list[int] = []

    @app.task
    def asks() -> None:
        connection.force_debug_cursor = True
        lengths.append(len(connection.queries_log))
        Order.objects.count()

    async with working(app, threads=1):
        await app.aenqueue_many([asks.job() for _ in range(20)])
        await eyes.settled(completed=20)
    assert set(lengths) == {0}


async def test_connections_of_a_pool_of_django_are_returned(
    app: App, eyes: Eyes, sessions: Sessions, django_dsn: str
) -> None:
    """Two for sixteen threads: Django refuses to keep those, and nothing runs into a timeout."""
    options = connections.settings["default"].setdefault("OPTIONS", {})
    options["pool"] = {"min_size": 0, "max_size": 2, "timeout": 600}
    try:
        await enqueue(django_dsn, ("pay", 60), ("apay", 60))
        async with working(app):
            await eyes.settled(completed=120)
            await sessions.look()
    finally:
        connections["default"].close_pool()
        del options["pool"]
    assert sessions.most["theirs"] <= 2
    assert await eyes.value("select count(*) from pgqueue.jobs where attempt > 1") == 0
    assert await unpaid() == 0


def test_threads_are_checked() -> None:
    with pytest.raises(ConfigError, match="threads must be from 1 to 1000, got 0"):
        around(threads=0)


SETTINGS = """
DATABASES = {}
INSTALLED_APPS = ["shop"]
SECRET_KEY = "x"
"""
MODELS = """
from django.db import models

class Order(models.Model):
    pass
"""
TASKS = """
import pgqueue
from pgqueue.hooks.django import around
from shop.models import Order

app = pgqueue.App("postgresql://nowhere.invalid/none", around=around())

@app.task
def pay() -> None: ...
"""


@pytest.mark.parametrize(
    ("module", "code", "said"),
    [("settings", 0, "app found"), ("wrong", 2, "Django cannot be set up with DJANGO_SETTINGS")],
)
def test_a_worker_sets_django_up_before_it_imports_the_app(
    tmp_path: Path, module: str, code: int, said: str
) -> None:
    (tmp_path / "shop").mkdir()
    for name, text in (
        ("settings.py", SETTINGS), ("shop/__init__.py", ""), ("shop/models.py", MODELS),
        ("shop/tasks.py", TASKS),
    ):  # fmt: skip
        (tmp_path / name).write_text(text)
    program = (
        "import sys\nfrom pgqueue.errors import ConfigError\nfrom pgqueue.worker.load import "
        "load_app\ntry:\n    load_app('shop.tasks:app')\n    print('app found')\n"
        "except ConfigError as exc:\n    print(exc)\n    sys.exit(2)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": module},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, "")
    assert said in done.stdout


def test_hooks_import_their_framework_and_nothing_imports_them() -> None:
    program = "import sys, pgqueue, pgqueue.worker; print([m for m in sys.modules if 'hooks' in m])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pgqueue.hooks" not in done.stdout
