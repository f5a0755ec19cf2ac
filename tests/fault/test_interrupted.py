"""A handler of a signal raises in the middle of a blocking call: Ctrl-C, gunicorn's exit, SIGALRM.

The program hears its own exception and no other, at once; nothing of the call is left half done.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgqueue import App
from pgqueue.db.interrupts import Deferred
from pgqueue.errors import PoolTimeout
from tests.harness.proxy import Proxy
from tests.harness.waiting import wait_until
from tests.worker.support import Eyes

pytestmark = pytest.mark.alone

CHILD = Path(__file__).with_name("interrupted.py")
TIMES = 200


class Late(Exception):
    pass


@pytest.fixture
def alarm() -> Iterator[list[int]]:
    """A handler that raises Late; what it returns are the signals that it has raised for."""
    came: list[int] = []

    def on_alarm(number: int, _frame: object) -> None:
        came.append(number)
        raise Late

    before = signal.signal(signal.SIGUSR1, on_alarm)
    try:
        yield came
    finally:
        assert signal.getsignal(signal.SIGUSR1) is on_alarm
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("kind", ["KeyboardInterrupt", "SystemExit", "TimeoutError", "Late"])
@pytest.mark.parametrize("socket", ["unix", "tcp"])
async def test_hundreds_of_interruptions(
    dsn: str, proxy: Proxy, eyes: Eyes, kind: str, socket: str
) -> None:
    where = dsn if socket == "unix" else proxy.dsn
    line = [sys.executable, "-X", "faulthandler", str(CHILD), kind, str(TIMES), "7"]
    env = {**os.environ, "PGQUEUE_DSN": where}
    done = await asyncio.to_thread(
        subprocess.run, line, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert set(told["raised"]) <= {f"{kind}()"}
    assert sum(told["raised"].values()) > TIMES / 20
    rows = await eyes.sql("select (args->>'n')::int as n from pgqueue.job")
    numbers = [row["n"] for row in rows if row["n"] >= 0]
    assert len(numbers) == len(set(numbers))
    assert set(numbers) >= set(told["done"])


def interrupt() -> threading.Thread:
    """Signal this process once the main thread is within a blocking call."""
    own = signal.getsignal(signal.SIGUSR1)

    def strike() -> None:
        wait_until(lambda: signal.getsignal(signal.SIGUSR1) is not own, timeout_s=30)
        os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=strike)
    thread.start()
    return thread


def test_a_call_that_hangs_is_interrupted(app: App, proxy: Proxy, alarm: list[int]) -> None:
    """The server does not answer; nobody waits for the deadline of the call."""
    behind = App(proxy.dsn)
    behind.enqueue("t")
    behind.pool.deadline = 600.0
    proxy.blackhole()
    striker = interrupt()
    began = time.monotonic()
    with pytest.raises(Late) as caught:
        behind.enqueue("t")
    assert caught.value.__cause__ is None
    assert time.monotonic() - began < 300.0
    striker.join()
    assert behind.pool.opened.blocking.spare == []
    proxy.cut()
    proxy.heal()
    for _ in range(behind.pool.size * 2):
        behind.enqueue("t")
    behind.close()
    assert alarm


def test_a_wait_for_a_connection_is_interrupted(app: App, alarm: list[int]) -> None:
    entered, leave = threading.Event(), threading.Event()

    async def work(_: object) -> None:
        entered.set()
        leave.wait(60)

    app.pool.size = 1
    app.pool.opened.start(1)
    holder = threading.Thread(target=lambda: app.pool.run(work, what="hold"))
    holder.start()
    assert entered.wait(30)
    striker = interrupt()
    with pytest.raises(Late):
        app.enqueue("t")
    striker.join()
    app.pool.wait = 0.1
    with pytest.raises(PoolTimeout, match="nothing was sent"):
        app.enqueue("t")
    leave.set()
    holder.join()
    app.enqueue("t")
    app.close()
    assert alarm


def test_a_blocking_connection_forgets_the_number_of_a_socket_that_it_lost(app: App) -> None:
    """The next file that the program opens has that number."""
    app.enqueue("t")
    (own,) = app.pool.opened.blocking.spare
    assert own.fd >= 0

    async def fail(_: object) -> None:
        raise Late

    with pytest.raises(Late):
        app.pool.run(fail, what="fail")
    assert app.pool.opened.blocking.spare == [own]
    assert (own.connection, own.fd) == (None, -1)
    app.enqueue("t")
    assert own.fd >= 0
    app.close()
    assert own.fd == -1


def test_calls_that_are_broken_off_leave_no_descriptors(app: App) -> None:
    async def leave(_: object) -> None:
        raise SystemExit

    def broken_off() -> int:
        with pytest.raises(SystemExit):
            app.pool.run(leave, what="leave")
        return len(os.listdir("/proc/self/fd"))

    assert broken_off() >= broken_off()
    app.enqueue("t")
    app.close()


def test_a_handler_that_does_not_raise_interrupts_nothing(app: App) -> None:
    """It runs while the call is under way, and may use the app itself."""
    seen: list[int] = []

    def on_signal(_number: int, _frame: object) -> None:
        seen.append(app.enqueue("from the handler").id)

    async def work(connection: object) -> int:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert not seen
        return await connection.fetchval("select pg_sleep(0.01) is not null, 1")  # type: ignore[attr-defined]

    before = signal.signal(signal.SIGUSR1, on_signal)
    try:
        assert app.pool.run(work, what="look")
        assert len(seen) == 1
        assert signal.getsignal(signal.SIGUSR1) is on_signal
    finally:
        signal.signal(signal.SIGUSR1, before)
    app.close()


def test_a_handler_that_has_no_connection_of_its_own_says_so(app: App) -> None:
    """The call that it interrupts holds the only one, and goes on afterwards."""
    app.pool.size = 1
    app.pool.wait = 0.1
    app.pool.opened.start(1)
    seen: list[str] = []

    def on_signal(_number: int, _frame: object) -> None:
        with pytest.raises(PoolTimeout) as caught:
            app.enqueue("from the handler")
        seen.append(str(caught.value))

    async def work(connection: object) -> int:
        os.kill(os.getpid(), signal.SIGUSR1)
        return await connection.fetchval("select pg_sleep(0.01) is not null, 1")  # type: ignore[attr-defined]

    before = signal.signal(signal.SIGUSR1, on_signal)
    try:
        assert app.pool.run(work, what="look")
    finally:
        signal.signal(signal.SIGUSR1, before)
    (text,) = seen
    assert text.startswith("all 1 connections of this process were in use")
    assert text.endswith("nothing was sent; raise pool_size")
    app.close()


def test_handlers_are_held_back_and_put_back(alarm: list[int]) -> None:
    def struck() -> None:
        with Deferred() as deferred:
            assert deferred.active
            os.kill(os.getpid(), signal.SIGUSR1)
            wait_until(lambda: deferred.came)
            assert not alarm

    with pytest.raises(Late):
        struck()
    assert len(alarm) == 1
    with Deferred() as deferred:
        os.kill(os.getpid(), signal.SIGUSR1)
        wait_until(lambda: deferred.came)
        with pytest.raises(Late):
            deferred.deliver()
        os.kill(os.getpid(), signal.SIGUSR1)
        wait_until(lambda: deferred.came)
        with pytest.raises(Late):
            deferred.wait(time.sleep, 30.0)
    assert len(alarm) == 3


def test_in_other_threads_nothing_is_held_back() -> None:
    active: list[bool] = []

    def look() -> None:
        with Deferred() as deferred:
            active.append(deferred.active)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert active == [False]


def test_a_stand_in_that_was_left_in_place_forwards_and_is_healed(alarm: list[int]) -> None:
    """As after two signals at once, the second in the middle of the clean-up for the first."""
    own = signal.getsignal(signal.SIGUSR1)
    left = Deferred()
    left._stand_in()
    left._active = False
    with pytest.raises(Late):
        signal.raise_signal(signal.SIGUSR1)
    with Deferred():
        assert signal.getsignal(signal.SIGUSR1) is not own
    assert signal.getsignal(signal.SIGUSR1) is own
    assert len(alarm) == 1
