"""Child processes without a process: what is said, what follows, who waits for one."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import types
from typing import Any

import msgspec
import pytest
from tests.harness.waiting import eventually

from pgqueue import App, ConfigError
from pgqueue.db.waits import NotBegun
from pgqueue.executor import check_memory, memory_text
from pgqueue.failure import Failure
from pgqueue.outcome import Dead, Outcome, RetryAt, Snoozed
from pgqueue.worker.children import pool
from pgqueue.worker.children.child import Child, how_it_ended
from pgqueue.worker.children.frames import Frames, Hello, Order, Said, pack
from pgqueue.worker.children.home import target_of
from pgqueue.worker.children.memory import CAN_MEASURE, used_by
from pgqueue.worker.children.pool import Children
from pgqueue.worker.run.in_child import said_of, verdict_of
from pgqueue.worker.run.verdict import Verdict

HELLO = Hello("shop:app", [], 0, 8.0)


@pytest.mark.parametrize("size", [1, 3, 7, 10_000])
def test_values_are_whole_whatever_the_pieces(size: int) -> None:
    orders = [Order({"id": n, "args": "x" * n * 100}, -(2**62) + n) for n in range(20)]
    stream = b"".join(map(pack, orders))
    frames, found = Frames(), list[Order]()
    for start in range(0, len(stream), size):
        pieces = frames.feed(stream[start : start + size])
        found += [msgspec.json.decode(body, type=Order) for body in pieces]
    assert found == orders


def test_text_that_is_no_unicode_comes_over_with_question_marks() -> None:
    (body,) = Frames().feed(pack(Said("log", name="shop", text="caf\udce9")))
    assert msgspec.json.decode(body, type=Said) == Said("log", name="shop", text="caf?")
    (body,) = Frames().feed(pack(Hello("shop:app", ["/caf\udce9"], 0, 8.0)))
    assert msgspec.json.decode(body, type=Hello).path == ["/caf?"]


FAILURE = Failure("KeyError", "'x'", "Traceback")


@pytest.mark.parametrize(
    "outcome",
    [RetryAt(3.5, FAILURE), RetryAt(1.0, FAILURE, "key"), Snoozed(2.0, None, "flow"),
     Dead("failed once", FAILURE)],
)  # fmt: skip
def test_a_verdict_comes_over_as_it_is(outcome: Outcome) -> None:
    said = msgspec.json.decode(msgspec.json.encode(said_of(Verdict(outcome, FAILURE))), type=Said)
    assert verdict_of(said) == Verdict(outcome, FAILURE)


def test_how_a_process_ended() -> None:
    assert how_it_ended(3) == "its process exited with code 3"
    assert how_it_ended(-11) == "its process exited with signal 11 (SIGSEGV)"
    assert how_it_ended(-99) == "its process exited with signal 99"


def test_amounts_of_memory() -> None:
    given: list[Any] = ["1GB", "1 gb", "1.5GiB", "512MB", 64_000_000]
    assert [check_memory(one) for one in given] == [
        10**9, 10**9, 1_610_612_736, 512 * 10**6, 64_000_000,
    ]  # fmt: skip
    wrong: list[Any] = ["1", "GB", "1XB", "1KB", 0, True, 1.5, "-1GB", None]
    for one in wrong:
        with pytest.raises(ConfigError, match=r"memory must be .*got"):
            check_memory(one)
    assert (memory_text(10**9), memory_text(1_234_567_890)) == ("1 GB", "1.23 GB")
    assert memory_text(200_000_000) == "200 MB"


@pytest.mark.skipif(not CAN_MEASURE, reason="no /proc")
def test_memory_is_that_of_a_process_that_lives() -> None:
    assert used_by(os.getpid()) > 10_000_000
    assert used_by(2**22 + 1) == 0


_FAMILY = """
import os, time
held = b"x" * 60_000_000
for _ in range(3):
    if not os.fork():
        break
else:
    print("ready", flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(not CAN_MEASURE, reason="no /proc")
def test_pages_that_processes_share_count_once() -> None:
    command = [sys.executable, "-c", _FAMILY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            assert used_by(process.pid, 10**9) > 4 * 60_000_000, "all that is resident of each"
            assert 60_000_000 < used_by(process.pid) < 2 * 60_000_000
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_an_app_is_found_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App()

    @app.task(executor="process")
    def crunch() -> None: ...

    with pytest.raises(ConfigError, match=r'"crunch" run in child .* write app = App\(\.\.\.\)'):
        target_of(app)
    monkeypatch.setattr(sys.modules["__main__"], "shop", app, raising=False)
    monkeypatch.setitem(sys.modules, "__mp_main__", sys.modules["__main__"])
    with pytest.raises(ConfigError, match=r"\(__main__\), which nobody can import"):
        target_of(app)
    module = types.ModuleType("a_shop")
    module.jobs = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_shop", module)
    assert target_of(app) == "a_shop:jobs"
    app.target = "told:app"
    assert target_of(app) == "told:app"


class Process:
    """A child that is told when to end its jobs."""

    made: list[Process]

    def __init__(self, hello: Hello, owner: Children, loop: asyncio.AbstractEventLoop) -> None:
        self.owner, self.loop = owner, loop
        self.is_ready = self.is_busy = self.killed = False
        self.is_alive = self.hears = True
        self.process = self.memory = None
        self.since = time.monotonic()
        self.failure = "no such module"
        Process.made.append(self)

    async def start(self) -> None: ...

    def ready(self) -> None:
        self.is_ready = True
        self.owner.free(self)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    def run(self, order: bytes, **how: Any) -> asyncio.Future[Said]:
        self.answer: asyncio.Future[Said] = self.loop.create_future()
        return self.answer

    def dismiss(self) -> None:
        self.kill()

    def kill(self, why: BaseException | None = None) -> None:
        self.killed = True
        self.owner.gone(self)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Process]:
    Process.made = []
    monkeypatch.setattr(pool, "Child", Process)
    return Process.made


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_children_start_at_need_and_a_cancel_kills_the_one_that_runs(
    made: list[Process],
) -> None:
    children = Children(2, HELLO, asyncio.get_running_loop())
    begun: list[int] = []

    def run(number: int) -> asyncio.Task[Said]:
        call = children.run(b"", memory=None, fields={}, begun=lambda: begun.append(number))
        return asyncio.ensure_future(call)

    jobs = [run(0), run(1), run(2)]
    await turns()
    first, second = made
    assert begun == []
    second.ready()
    await turns()
    assert begun == [0]
    jobs[0].cancel()
    jobs[1].cancel()  # it waits: no process is ended for it
    await turns()
    assert second.killed
    assert not first.killed
    first.ready()
    await turns()
    assert begun == [0, 2]
    first.answer.set_result(Said("done"))
    jobs[2].cancel()  # too late
    assert (await jobs[2]).kind == "done"
    assert not first.killed
    await children.close()
    assert first.killed


async def test_a_child_that_comes_free_as_the_wait_is_over_is_not_lost(
    made: list[Process],
) -> None:
    loop = asyncio.get_running_loop()
    children = Children(1, HELLO, loop, wait_seconds=0.0)  # over in the next turn of the loop
    job = asyncio.ensure_future(children.run(b"", memory=None, fields={}, begun=lambda: None))
    loop.call_soon(lambda: made[0].ready())
    await turns()
    made[0].answer.set_result(Said("done"))
    assert (await job).kind == "done"
    await children.close()


async def test_a_child_for_which_there_is_no_socket_keeps_no_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_socket() -> None:
        raise OSError(24, "Too many open files")

    children = Children(1, HELLO, asyncio.get_running_loop())
    with monkeypatch.context() as without:
        without.setattr(socket, "socketpair", no_socket)
        with pytest.raises(NotBegun, match=r"could not be started: .*Too many open files"):
            await children.run(b"", memory=None, fields={}, begun=lambda: None)
    assert children.pids == []
    await children.close()


class Gone:
    """Whoever has a child, and is told of its end."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def free(self, child: Child) -> None: ...

    def gone(self, child: Child) -> None:
        self.ended.set()


async def test_a_child_that_hangs_up_is_killed_and_gets_no_job() -> None:
    owner = Gone()
    child = Child(HELLO, owner, asyncio.get_running_loop())
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    child.process = subprocess.Popen(command, start_new_session=True)  # noqa: ASYNC220
    child.connection_lost(None)
    assert not child.hears
    await owner.ended.wait()
    assert child.failure == "its process exited with signal 9 (SIGKILL)"


async def test_jobs_do_not_wait_for_a_child_that_cannot_start(
    made: list[Process], caplog: pytest.LogCaptureFixture
) -> None:
    children = Children(1, HELLO, asyncio.get_running_loop())
    job = asyncio.ensure_future(children.run(b"", memory=None, fields={}, begun=lambda: None))
    await turns()
    made[0].kill()
    with pytest.raises(NotBegun, match="no child process: no such module"):
        await job
    assert "did not start" in caplog.text
    await children.close()


async def test_a_child_without_a_job_ends_after_a_while_and_a_dead_one_gets_none(
    made: list[Process],
) -> None:
    children = Children(1, HELLO, asyncio.get_running_loop(), idle_seconds=30.0)

    def run() -> asyncio.Task[Said]:
        return asyncio.ensure_future(children.run(b"", memory=None, fields={}, begun=lambda: None))

    job = run()
    await turns()
    made[0].ready()
    await turns()
    made[0].answer.set_result(Said("done"))
    await job
    made[0].is_alive = made[0].hears = False
    made[0].ready()  # idle
    job = run()
    await turns()
    assert not job.done()
    made[0].kill()  # now it is noticed, and another one is started
    await turns()
    made[1].ready()
    await turns()
    made[1].answer.set_result(Said("done"))
    await job
    made[1].since = time.monotonic() - 20
    made[1].ready()
    await turns()
    assert not made[1].killed
    made[1].since -= 20
    await eventually(lambda: made[1].killed)
    await children.close()
