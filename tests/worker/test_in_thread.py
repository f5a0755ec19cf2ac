"""A worker in a thread of a program: it starts, works, stops, and leaves signals alone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from pgqueue import App, ConfigError, Unreachable, Worker
from tests.harness.servers import with_database
from tests.worker.support import quick

pytestmark = pytest.mark.one_pg


def test_it_works_in_a_thread_of_its_own_and_installs_no_signal_handler(dsn: str) -> None:
    app = App(dsn)
    done, threads = threading.Event(), list[threading.Thread]()

    @app.task
    async def note() -> None:
        threads.append(threading.current_thread())
        done.set()

    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Worker(app, **quick()).start_in_thread() as thread:
        assert thread.is_alive
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
        note.enqueue()
        assert done.wait(60)
    assert threads[0] is not threading.current_thread()
    assert not thread.is_alive
    app.close()


def test_a_second_start_is_refused_and_one_after_the_stop_is_not(dsn: str) -> None:
    app = App(dsn)

    @app.task
    async def note() -> None: ...

    worker = Worker(app, **quick())
    first = worker.start_in_thread()
    with pytest.raises(ConfigError, match="this worker runs already"):
        worker.start_in_thread()
    first.stop()
    first.stop()
    with worker.start_in_thread() as second:
        assert second.is_alive
    app.close()


def test_what_keeps_it_from_starting_is_raised() -> None:
    app = App("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(ConfigError, match="this app has no tasks"):
        Worker(app).start_in_thread()


def test_it_goes_on_trying_where_the_server_is_away_and_can_be_stopped() -> None:
    app = App("postgresql://nobody@127.0.0.1:1/none")

    @app.task
    async def note() -> None: ...

    thread = Worker(app).start_in_thread(timeout=0.1)
    assert thread.is_alive
    thread.stop()
    assert not thread.is_alive


def test_after_its_timeout_a_stop_gives_back_what_runs(dsn: str) -> None:
    app = App(dsn)
    begun, released = threading.Event(), threading.Event()

    @app.task
    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            released.set()

    thread = Worker(app, **quick(grace=600.0)).start_in_thread()
    job = wait.enqueue()
    assert begun.wait(60)
    thread.stop(timeout=0.2)
    assert released.is_set()
    assert not thread.is_alive
    released = app.get_job(job.id)
    assert released is not None
    assert released.state == "pending"
    app.close()


def test_a_stop_that_a_job_asked_for_keeps_its_grace(dsn: str) -> None:
    app = App(dsn)
    begun, asked, goes_on = threading.Event(), threading.Event(), threading.Event()

    @app.task(queue="a")
    async def wait() -> None:
        begun.set()
        assert await asyncio.to_thread(goes_on.wait, 60)

    @app.task(queue="b")
    async def ask() -> None:
        worker.request_stop()
        asked.set()

    worker = Worker(app, **quick(grace=600.0))
    thread = worker.start_in_thread()
    job = wait.enqueue()
    assert begun.wait(60)
    ask.enqueue()
    assert asked.wait(60)
    others = [threading.Thread(target=thread.stop) for _ in range(2)]
    for other in others:
        other.start()
    others[0].join(0.5)
    goes_on.set()
    for other in others:
        other.join(60)
    assert not thread.is_alive
    done = app.get_job(job.id)
    assert done is not None
    assert (done.state, worker.statistics().released) == ("completed", 0)
    app.close()


def test_what_runs_when_the_program_ends_gets_its_grace_and_runs_once(dsn: str) -> None:
    """Executors take calls until then, and what runs is nobody else's meanwhile."""
    code = """
        import asyncio, threading, time
        import pgqueue

        app = pgqueue.App()
        begun = threading.Barrier(3)

        @app.task(max_attempts=1)
        async def asynchronous():
            await asyncio.to_thread(begun.wait, 60)
            await asyncio.sleep(1)
            await asyncio.to_thread(time.sleep, 0.01)

        @app.task(max_attempts=1)
        def synchronous():
            begun.wait(60)
            time.sleep(1)

        pgqueue.Worker(app, heartbeat=0.3, grace=60).start_in_thread()
        print(asynchronous.enqueue().id, synchronous.enqueue().id)
        begun.wait(60)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PGQUEUE_DSN": dsn}, capture_output=True, text=True, timeout=120,
        check=True,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    app = App(dsn)
    for job_id in map(int, done.stdout.split()):
        job = app.get_job(job_id)
        assert job is not None
        assert (job.state, job.attempt) == ("completed", 1)
    app.close()


def test_a_forked_process_has_no_worker_and_says_so(dsn: str) -> None:
    app = App(dsn)

    @app.task
    async def note() -> None: ...

    worker = Worker(app, **quick())
    with worker.start_in_thread() as thread:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                assert not thread.is_alive
                for call in (thread.stop, worker.start_in_thread):
                    with pytest.raises(ConfigError, match="which forked this one"):
                        call()
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert thread.is_alive
    app.close()


def test_a_server_that_refuses_is_told_of(dsn: str) -> None:
    app = App(with_database(dsn, "no_such_database"))

    @app.task
    async def note() -> None: ...

    with pytest.raises(Unreachable, match="no_such_database"):
        Worker(app).start_in_thread()
