"""Enqueue from scripts, threads, event loops and forks, and what breaks while it is on its way."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
import random
import resource
import signal
import threading
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import asyncpg
import psycopg
import pytest
from tests.harness.waiting import wait_until

import pgqueue.client
import pgqueue.joined
from pgqueue.app import App
from pgqueue.client import Client
from pgqueue.errors import ConfigError, OutcomeUnknown, SyncInAsync, Unreachable

Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def query(dsn: str) -> Iterator[Query]:
    """Runs a statement in a session of its own."""
    with psycopg.connect(dsn, autocommit=True) as connection:

        def run(sql: str, *args: Any) -> list[tuple[Any, ...]]:
            cursor = connection.execute(sql, args or None)
            return cursor.fetchall() if cursor.description else []

        yield run


@pytest.fixture
def app(dsn: str) -> Iterator[App]:
    app = App(dsn)
    yield app
    app.close()


def jobs(query: Query) -> int:
    return query("select count(*) from pgqueue.job")[0][0]


def ours(query: Query) -> list[tuple[int, str]]:
    """Pid and state of the sessions of clients."""
    return query(  # type: ignore[return-value]
        "select pid, state from pg_stat_activity"
        " where datname = current_database() and application_name = 'pgqueue client'"
    )


def kill(query: Query) -> int:
    """End the sessions of clients, and wait until they are gone."""
    killed = (
        query("select pg_terminate_backend(%s, 5000)", ours(query)[0][0]) if ours(query) else []
    )
    for pid, _ in ours(query):
        killed += query("select pg_terminate_backend(%s, 5000)", pid)
    return len(killed)


# -- blocking


def test_from_a_plain_script(app: App, query: Query) -> None:
    @app.task
    def add(a: int, b: int = 2) -> int:
        return a + b

    assert add(1) == 3
    first = add.enqueue(1)
    assert (first.duplicate, first.state) == (False, "pending")
    many = app.enqueue_many([add.job(n) for n in range(10)])
    assert [one.id for one in many] == list(range(first.id + 1, first.id + 11))
    assert query("select task, args from pgqueue.job where id = %s", first.id) == [
        ("add", {"a": 1})
    ]
    assert len(ours(query)) == 1


@pytest.mark.parametrize("way", ["pool", "pooler", "driver"])
def test_a_vain_look_is_not_repeated_at_once(
    dsn: str, query: Query, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who enqueues ten at the same moment looks once for somebody who waits, however he does."""
    for module in (pgqueue.client, pgqueue.joined):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    with (
        Client(dsn, pgbouncer=way == "pooler") as client,
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        looks: list[bool] = []
        real = client.lookout.needed

        class Spy:
            def needed(self, now: float) -> bool:
                looks.append(real(now))
                return looks[-1]

            learn = staticmethod(client.lookout.learn)

        monkeypatch.setattr(client, "lookout", Spy())
        for n in range(10):
            client.enqueue("t", {"n": n}, connection=connection if way == "driver" else None)
    assert looks == [True] + [False] * 9
    assert jobs(query) == 10


def test_from_many_threads(dsn: str, query: Query) -> None:
    with Client(dsn, pool_size=4) as client, ThreadPoolExecutor(20) as threads:
        done = list(threads.map(lambda n: client.enqueue("t", {"n": n}), range(400)))
        assert len({one.id for one in done}) == jobs(query) == 400
        assert 1 <= len(ours(query)) <= 4
    wait_until(lambda: not ours(query))


def test_a_session_that_was_ended_while_idle_is_replaced(app: App, query: Query) -> None:
    for _ in range(3):
        app.enqueue("t")
        assert kill(query) == 1
    app.enqueue("t")
    assert jobs(query) == 4
    assert len(ours(query)) == 1


def test_many_sessions_that_were_ended_while_idle(dsn: str, query: Query) -> None:
    with Client(dsn, pool_size=5) as client, ThreadPoolExecutor(5) as threads:
        gate = threading.Barrier(5)

        def work(_: int) -> None:
            gate.wait()
            client.enqueue("t")

        for turn in range(3):
            list(threads.map(work, range(5)))
            assert jobs(query) == 5 * (turn + 1)
            kill(query)


def test_with_more_files_open_than_select_can_watch(app: App, query: Query) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2000:
        pytest.skip("this process may not open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        app.enqueue("t")
        app.enqueue("t")
        asyncio.run(use(app, 2))
        assert jobs(query) == 4
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def use(client: Client, count: int = 1) -> None:
    for _ in range(count):
        await client.aenqueue("t")
    await client.pool.aclose()


class Rang(Exception):
    """What the alarm raises."""


@pytest.mark.parametrize("kind", [Rang, KeyboardInterrupt, TimeoutError])
def test_a_signal_that_raises_in_the_middle_leaves_no_call_behind(
    app: App, query: Query, dsn: str, kind: type[BaseException]
) -> None:
    """As with time limits that are built on an alarm: the next call is not mixed up with it."""

    def ring(*_: object) -> None:
        raise kind

    app.enqueue("t")
    before = signal.signal(signal.SIGALRM, ring)
    try:
        with psycopg.connect(dsn) as holder:
            holder.execute('select * from pgqueue.enqueue(\'{"task": "t", "unique_key": "k"}\')')
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises((kind, OutcomeUnknown)):
                app.enqueue("t", unique_key="k")
            signal.setitimer(signal.ITIMER_REAL, 0)
            for _ in range(3):
                app.enqueue("t")
            holder.rollback()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    wait_until(lambda: not query("select 1 from pg_locks where not granted"))
    assert query("select count(*) from pgqueue.job where unique_key is null") == [(4,)]


# -- after a fork


def fork(child: Callable[[], None]) -> None:
    """Run in a child process; fail if that failed."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            child()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.one_pg
def test_a_child_enqueues_while_its_parent_does(app: App, query: Query) -> None:
    app.enqueue("t")
    (before,) = ours(query)

    def child() -> None:
        for _ in range(20):
            app.enqueue("t")
        gc.collect()
        asyncio.run(use(app, 5))
        gc.collect()
        app.close()

    for _ in range(3):
        fork(child)
        app.enqueue("t")
    assert jobs(query) == 1 + 3 * 26
    assert ours(query) == [before], "the parent's session is as it was, the children's are gone"


def test_a_child_leaves_the_event_loop_of_its_parent_alone(app: App, query: Query) -> None:
    app.enqueue("t")
    own = app.pool.opened.blocking.spare[0]

    def child() -> None:
        app.enqueue("t")
        gc.collect()

    fork(child)
    # A thread can still wake the loop: its wake-up socket is still watched.
    woken = own.loop.create_future()
    threading.Timer(0.0, lambda: own.loop.call_soon_threadsafe(woken.set_result, True)).start()
    guard = own.loop.call_later(5.0, woken.cancel)
    assert own.loop.run_until_complete(woken)
    guard.cancel()
    kill(query)
    app.enqueue("t")


def test_a_fork_while_the_parents_threads_enqueue(app: App, query: Query) -> None:
    stop = threading.Event()
    counts = [0] * 4

    def work(n: int) -> None:
        while not stop.is_set():
            app.enqueue("t")
            counts[n] += 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            fork(lambda: [app.enqueue("t") for _ in range(3)] and None)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert jobs(query) == sum(counts) + 15


# -- in event loops


def operations(app: App) -> dict[str, Callable[[], Any]]:
    """Every blocking verb of an app, with arguments that are right."""

    @app.task
    def t() -> None: ...

    given: dict[str, tuple[Any, ...]] = {
        "enqueue": ("t",), "enqueue_many": ([t.job()],), "cancel": (1,), "retry": (1,),
        "get_job": (1,), "why_waiting": (1,), "redrive": (1,), "purge_dead": (1,),
        "pause": ("q",), "resume": ("q",),
    }  # fmt: skip
    calls: dict[str, Callable[[], Any]] = {
        "task.enqueue": t.enqueue,
        "bound.enqueue": t.using(priority=1).enqueue,
    }
    for name, method in inspect.getmembers(app, callable):
        if name.startswith("_") or name == "enqueue_job":
            continue
        twin = getattr(app, f"a{name}", None)
        if inspect.iscoroutinefunction(twin) and name != "close":
            calls[name] = lambda method=method, name=name: method(*given.get(name, ()))
    return calls


async def test_every_blocking_call_in_a_loop_names_its_twin(dsn: str) -> None:
    app = App(dsn)
    calls = operations(app)
    assert {"enqueue", "enqueue_many", "cancel", "migrate", "status", "task.enqueue"} <= set(calls)
    for name, call in calls.items():
        with pytest.raises(SyncInAsync) as caught:
            call()
        twin = str(caught.value).partition("await ")[2].partition(" ")[0]
        assert twin == f"a{name.rpartition('.')[2]}", name
    assert app.pool.opened.blocking.spare == []


def test_closing_in_a_loop_names_its_twin_too(app: App) -> None:
    app.enqueue("t")

    async def wrong() -> None:
        app.close()

    with pytest.raises(SyncInAsync, match="await aclose instead"):
        asyncio.run(wrong())
    app.enqueue("t")


def test_several_event_loops_in_turn(app: App, query: Query) -> None:
    async def once() -> None:
        await app.aenqueue("t")
        await asyncio.gather(*[app.aenqueue("t") for _ in range(7)])
        await app.aclose()

    for _ in range(3):
        asyncio.run(once())
        app.enqueue("t")
    assert jobs(query) == 27


def test_several_event_loops_at_once(app: App, query: Query) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: asyncio.run(use(app, 10)), range(8)))
    assert jobs(query) == 80


def test_a_loop_that_ended_without_a_goodbye(app: App, query: Query) -> None:
    async def once() -> None:
        await app.aenqueue("t")

    for _ in range(10):
        asyncio.run(once())
        wait_until(lambda: len(ours(query)) <= 1)
    assert jobs(query) == 10
    app.close()
    wait_until(lambda: not ours(query))


def test_a_session_that_was_ended_while_its_loop_was_busy(app: App, query: Query) -> None:
    """The loop has had no turn in which to notice."""

    async def once() -> None:
        for _ in range(5):
            await app.aenqueue("t")
            assert kill(query) == 1
        await app.aenqueue("t")
        await app.aclose()

    asyncio.run(once())
    assert jobs(query) == 6


@pytest.mark.past_bug(51)
async def test_cancelled_calls_leave_no_session_in_a_transaction(
    dsn: str, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgqueue.calls, "CHUNK", 5)
    turn = random.Random(51)
    async with Client(dsn, pool_size=4) as client:
        bulk = [client.job("t") for _ in range(12)]
        for n in range(300):
            call = asyncio.ensure_future(
                client.aenqueue_many(bulk) if n % 2 else client.aenqueue("t")
            )
            for _ in range(turn.randrange(12)):
                await asyncio.sleep(0)
            if n % 7 == 0:
                await asyncio.sleep(turn.random() * 0.002)
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await call
        ids = [(await client.aenqueue("t")).id for _ in range(8)]
        assert len(set(ids)) == 8
        assert len(await asyncio.gather(*[client.aenqueue("t") for _ in range(8)])) == 8
        wait_until(lambda: len(ours(query)) <= 4)
        wait_until(lambda: all(state == "idle" for _, state in ours(query)))
        # Of a bulk call, all jobs or none.
        wait_until(
            lambda: (
                not query(
                    "select 1 from pg_locks where locktype = 'transactionid'"
                    " and pid <> pg_backend_pid()"
                )
            )
        )


async def test_a_cancelled_wait_for_a_connection_takes_none(dsn: str) -> None:
    async with Client(dsn, pool_size=1) as client:
        async with client.pool.connection():
            waiting = [asyncio.ensure_future(client.aenqueue("t")) for _ in range(5)]
            await asyncio.sleep(0)
            for each in waiting:
                each.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        async with asyncio.timeout(60):
            await client.aenqueue("t")


@pytest.mark.past_bug(37)
def test_failed_connects_leak_nothing(dsn: str, query: Query) -> None:
    query("create role nobody login")
    query("alter role nobody set search_path = 'x'")
    wrong = dsn.replace("postgres@", "nobody@").replace("//postgres:", "//nobody:")
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    try:
        query(
            "revoke connect on database "
            + query("select quote_ident(current_database())")[0][0]
            + " from public"
        )
        client = Client(wrong)

        async def try_it() -> None:
            for _ in range(50):
                with pytest.raises(Unreachable):
                    await client.aenqueue("t")

        for _ in range(50):
            with pytest.raises(Unreachable):
                client.enqueue("t")
        asyncio.run(try_it())
        client.close()
        assert ours(query) == []
        if before:
            gc.collect()
            assert len(os.listdir("/proc/self/fd")) <= before + 2
    finally:
        query("drop role nobody")


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://me:secret@127.0.0.1:1/db",
        "postgresql://me:secret@no.such.host.invalid/db",
        "postgresql://me:secret@/db?host=/no/such/directory",
        "postgresql://me:se%23secret@127.0.0.1:1/db?sslmode=require",
        "postgresql://me:x#secret@127.0.0.1:1/db",
    ],
)
def test_a_server_that_cannot_be_reached_is_said_in_one_line(dsn: str) -> None:
    client = Client(dsn)
    for call in (lambda: client.enqueue("t"), lambda: asyncio.run(client.aenqueue("t"))):
        with pytest.raises(Unreachable) as caught:
            call()
        said = str(caught.value)
        assert "secret" not in said
        assert said.startswith("cannot connect to postgresql://me:***@")
        assert "\n" not in said
    assert "secret" not in repr(client.pool)
    client.close()


def test_no_dsn_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGQUEUE_DSN", raising=False)
    with pytest.raises(ConfigError, match=r"no dsn: pass one .* or set PGQUEUE_DSN"):
        Client().enqueue("t")


# -- in bulk


def test_many_jobs_are_all_there_or_none(app: App, query: Query) -> None:
    good = [app.job("t", {"n": n}) for n in range(20_000)]
    bad = pgqueue.client.NewJob("t", "[]", {})  # past all checks, to fail on the server
    with pytest.raises(Exception, match="job_args"):
        app.enqueue_many([*good, bad])
    assert jobs(query) == 0
    assert len(app.enqueue_many(good)) == jobs(query) == 20_000


@pytest.mark.one_pg
def test_a_hundred_thousand_jobs_in_bounded_memory(app: App, query: Query) -> None:
    padding = "x" * 200
    bulk = [app.job("t", {"n": n, "padding": padding}) for n in range(100_000)]
    size = sum(len(job.args) for job in bulk)
    app.enqueue("warm")
    tracemalloc.start()
    try:
        done = app.enqueue_many(bulk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(done) == 100_000
    assert jobs(query) == 100_001
    # The answers and one statement's text at a time, not the whole as text.
    assert peak < size, f"{peak:,} bytes for {size:,} of arguments"


async def test_a_bulk_call_on_the_callers_connection_stays_in_its_transaction(
    dsn: str, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgqueue.calls, "CHUNK", 10)
    connection = await asyncpg.connect(dsn)
    async with Client(dsn) as client:
        bulk = [client.job("t", unique_key=f"{n % 30}") for n in range(45)]
        transaction = connection.transaction()
        await transaction.start()
        done = await client.aenqueue_many(bulk, connection=connection)
        assert [one.id for one in done[:15]] == [one.id for one in done[30:]]
        assert jobs(query) == 0
        await transaction.commit()
        assert jobs(query) == 30
    await connection.close()
