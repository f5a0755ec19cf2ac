"""The runner by itself: a task for each job, and an outcome for each, whatever becomes of the task.

Nothing here needs a server: records are dicts, and what would be written is kept in lists.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, get_args

import pytest
from tests.harness.waiting import eventually

from pgqueue import App, PoolTimeout
from pgqueue.db.waits import waiting
from pgqueue.outcome import CANCELLED, RELEASED, Dead, Outcome, RetryAt, Snoozed
from pgqueue.worker.lease import Lease
from pgqueue.worker.run.attempt import Slot
from pgqueue.worker.run.runner import Runner
from pgqueue.worker.run.settle import Decision, Ended, Why, settle
from pgqueue.worker.run.threads import Threads
from pgqueue.worker.running_jobs import RunningJobs

eager = pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks begin with the next turn")
SECONDS = 30.0


class Outcomes:
    """What a completer is told."""

    def __init__(self) -> None:
        self.completed = 0
        self.is_torn_down = False
        self.successes: list[int] = []
        self.others: dict[int, Outcome] = {}

    def done(self, job_id: int, token: int) -> None:
        self.successes.append(job_id)

    def add(self, entry: Any) -> None:
        assert entry.id not in self.others
        self.others[entry.id] = entry.outcome


class Bench:
    """A runner, the tasks that it knows, and what became of its jobs."""

    def __init__(self, concurrency: int = 2) -> None:
        self.app = App("postgresql://nowhere.invalid/none")
        self.outcomes = Outcomes()
        self.running_jobs = RunningJobs.private(concurrency)
        self.lease = Lease()
        self.lease.hold(0.0, math.inf)
        self.concurrency = concurrency
        self.rows: dict[int, Any] = {}
        self._last = 0
        self.noted = asyncio.Event()
        self.noted.set()
        self._runner: Runner | None = None

    @property
    def runner(self) -> Runner:
        if self._runner is None:
            parts: dict[str, Any] = {
                "completer": self.outcomes,
                "transactions": None,
                "marks": self,
                "large": self,
                "misfits": None,
            }
            self._runner = Runner(
                {task.name: task for task in self.app.tasks},
                concurrency=self.concurrency,
                running_jobs=self.running_jobs,
                lease=self.lease,
                loop=asyncio.get_running_loop(),
                **parts,
            )
        return self._runner

    async def begin(self, job_id: int, token: int) -> bool:
        await self.noted.wait()
        return True

    async def quarantine(self, job_id: int, token: int) -> bool:
        return True

    async def read(self, job_id: int, token: int) -> Any:
        """Return a row whose claim left its arguments out; by now it is not quarantined."""
        return {**self.rows[job_id], "args": "{}", "crash_count": 0}

    def task(self, function: Callable[..., Any]) -> Any:
        return self.app.task(max_attempts=3)(function)

    def add(self, task: Any, count: int = 1, **columns: Any) -> list[int]:
        ids = list(range(self._last + 1, self._last + count + 1))
        self._last += count
        rows: list[Any] = [
            {
                "id": job_id, "position": job_id, "queue": "default", "priority": 5, "flow": None,
                "task": task.name, "args": "{}", "attempt": 1, "max_attempts": 3,
                "crash_count": 0, "timeout_seconds": None, "enqueued_epoch": 0.0, "tags": None,
                "metadata": None, "refused": None, "due_at": None, **columns,
            }
            for job_id in ids
        ]  # fmt: skip
        self.rows.update(zip(ids, rows, strict=True))
        self.runner.add(rows, 7)
        return ids

    async def run(self, task: Any, count: int = 1, **columns: Any) -> list[int]:
        ids = self.add(task, count, **columns)
        await self.quiet()
        return ids

    async def time_out(self) -> None:
        """Strike the timeouts of all jobs that run, once they run."""
        await eventually(lambda: self.busy() and all(slot.timer for slot in self.busy()))
        for slot in self.busy():
            assert slot.timer is not None
            slot.timer.cancel()
            slot.time_out()
        await self.quiet()

    def busy(self) -> list[Slot]:
        return [slot for slot in self.runner.slots if slot.record is not None]

    async def quiet(self) -> None:
        assert await self.runner.wait_quiet(SECONDS)
        await eventually(lambda: self.runner.running == 0)
        assert self.runner.finished == self.runner.started
        assert not self.runner.receipts()


@pytest.mark.parametrize("waits", [False, True])
async def test_each_job_is_a_task_of_its_own(waits: bool) -> None:
    bench = Bench(concurrency=1)
    seen: list[asyncio.Task[Any] | None] = []
    kept: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    @bench.task
    async def note() -> None:
        task = asyncio.current_task()
        assert task is not None
        assert task not in kept
        kept[task] = 1
        if waits:
            await asyncio.sleep(0)
        assert asyncio.current_task() is task
        seen.append(task)

    await bench.run(note, 200)
    assert len(bench.outcomes.successes) == 200
    assert len({id(task) for task in seen}) == 200
    assert asyncio.current_task() not in seen


async def test_a_task_that_waits_bears_the_name_of_its_job() -> None:
    bench = Bench()
    names: list[str] = []

    @bench.task
    async def note() -> None:
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        names.append(task.get_name())

    (job_id,) = await bench.run(note)
    assert names == [f"job {job_id} {note.name}"]


async def test_context_variables_end_with_their_job() -> None:
    bench = Bench(concurrency=1)
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    variable.set(1)
    seen: list[int] = []

    @bench.task
    async def note() -> None:
        seen.append(variable.get())
        variable.set(7)
        await asyncio.sleep(0)
        seen.append(variable.get())

    bench.runner  # noqa: B018  (made in this context)
    variable.set(2)
    await bench.run(note, 3)
    assert seen == [1, 7, 1, 7, 1, 7]


async def test_no_more_at_a_time_than_there_are_slots_and_in_their_order() -> None:
    bench = Bench(concurrency=3)
    order: list[str] = []
    most = 0

    @bench.task
    async def note() -> None:
        nonlocal most
        most = max(most, bench.runner.running)
        task = asyncio.current_task()
        await asyncio.sleep(0)
        assert task is not None
        order.append(task.get_name().split()[1])

    ids = await bench.run(note, 50)
    assert most == 3
    assert order == [str(job_id) for job_id in ids]
    assert len({place for place in range(3) if bench.running_jobs.ids[place]}) == 3


async def test_thousands_that_end_at_once_neither_nest_nor_keep_the_loop() -> None:
    """The depth of the stack stays the same, and others have their turns in between."""
    bench = Bench(concurrency=1)
    depths: set[int] = set()
    turns = 0

    @bench.task
    async def note() -> None:
        depth, frame = 0, sys._getframe()
        while frame.f_back is not None:
            depth, frame = depth + 1, frame.f_back
        depths.add(depth)

    bench.add(note, 5_000)
    while bench.runner.waits or bench.runner.running:
        await asyncio.sleep(0)
        turns += 1
    assert len(depths) == 1
    assert len(bench.outcomes.successes) == 5_000
    assert turns >= 5_000 // 64


@eager
async def test_a_job_that_does_not_wait_costs_no_turn_of_the_loop() -> None:
    bench = Bench(concurrency=1)

    @bench.task
    async def note() -> None: ...

    bench.add(note, 60)
    await asyncio.sleep(0)
    assert len(bench.outcomes.successes) == 60


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), asyncio.CancelledError()]
)
@pytest.mark.parametrize("waits", [False, True])
async def test_what_is_no_exception_is_a_failure_of_that_job_alone(
    error: BaseException, waits: bool
) -> None:
    bench = Bench(concurrency=1)

    @bench.task
    async def rude() -> None:
        if waits:
            await asyncio.sleep(0)
        raise error

    @bench.task
    async def innocent() -> None: ...

    (bad,) = bench.add(rude)
    (good,) = bench.add(innocent)
    await bench.quiet()
    assert isinstance(bench.outcomes.others[bad], RetryAt)
    assert bench.outcomes.successes == [good]


@pytest.mark.parametrize(
    ("why", "outcome"), [("stop", "Snoozed"), ("cancelled", "Cancelled"), ("lost", "NoneType")]
)
async def test_told_to_end_while_it_is_noted_that_it_begins(why: Any, outcome: str) -> None:
    """A release would keep the note, and the job would be buried that never ran."""
    bench = Bench(concurrency=1)
    bench.noted.clear()
    ran: list[int] = []

    @bench.app.task(on_crash="dead")
    async def charge() -> None:
        ran.append(1)

    (job_id,) = bench.add(charge)
    await eventually(lambda: bench.runner.running == 1)
    await asyncio.sleep(0)  # before Python 3.12 the task makes its first step now
    bench.runner.cancel_all(why)
    await bench.quiet()
    assert not ran
    assert type(bench.outcomes.others.get(job_id)).__name__ == outcome


@pytest.mark.parametrize(
    ("why", "outcome"), [("stop", RELEASED), ("cancelled", "Cancelled"), ("lost", None)]
)
async def test_cancelled_before_its_first_step_or_after(why: str, outcome: Any) -> None:
    """Where tasks do not begin at once, they may be cancelled before they begin."""
    bench = Bench(concurrency=1)

    @bench.task
    async def hold() -> None:
        await asyncio.Event().wait()

    (job_id,) = bench.add(hold)
    await asyncio.sleep(0)  # the task is there; from 3.12 on it has made its first step
    if why == "cancelled":
        bench.runner.cancel([job_id], why)
    else:
        bench.runner.cancel_all(why)
    await bench.quiet()
    assert bench.outcomes.successes == []
    got = bench.outcomes.others.get(job_id)
    assert got is outcome or type(got).__name__ == outcome


@pytest.mark.parametrize("told", [None, *get_args(Why)])
@pytest.mark.parametrize("ended", Ended)
async def test_what_the_table_says_is_what_is_written(told: Why | None, ended: Ended) -> None:
    bench = Bench(concurrency=1)
    begun, over = asyncio.Event(), asyncio.Event()

    @bench.task
    async def job() -> None:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await over.wait()
        match ended:
            case Ended.RETURNED:
                return
            case Ended.CANCELLED:
                raise asyncio.CancelledError
            case Ended.WAITED:
                raise PoolTimeout("all were in use")
            case Ended.RAISED:
                raise ValueError("no")

    (job_id,) = bench.add(job, timeout_seconds=3600.0)
    await begun.wait()
    if told == "abandoned":
        bench.runner.cancel_all("stop")
        bench.runner.abandon()
    elif told is not None:
        bench.runner.cancel_all(told)
    over.set()
    await bench.quiet()
    written = "done" if bench.outcomes.successes == [job_id] else bench.outcomes.others.get(job_id)
    match settle(told, ended):
        case Decision.DONE:
            assert written == "done"
        case Decision.NOTHING:
            assert written is None
        case Decision.FAILED | Decision.TIMED_OUT:
            assert isinstance(written, RetryAt)
        case Decision.PUT_OFF:
            assert isinstance(written, Snoozed)
        case Decision.CANCELLED:
            assert written is CANCELLED
        case Decision.RELEASED:
            assert written is RELEASED


async def test_who_cancels_all_tasks_costs_no_job_its_slot() -> None:
    bench = Bench(concurrency=2)

    @bench.task
    async def hold() -> None:
        await asyncio.Event().wait()

    ids = bench.add(hold, 6)
    me = asyncio.current_task()
    while bench.runner.waits or bench.runner.running:
        for task in asyncio.all_tasks() - {me}:
            task.cancel()
        await asyncio.sleep(0)
    await bench.quiet()
    assert bench.outcomes.others.keys() == set(ids)
    for outcome in bench.outcomes.others.values():
        assert outcome is RELEASED or isinstance(outcome, RetryAt)


async def test_a_task_that_is_cancelled_when_its_job_is_over_hurts_nobody() -> None:
    bench = Bench(concurrency=1)
    kept: list[asyncio.Task[Any]] = []

    @bench.task
    async def keeps() -> None:
        task = asyncio.current_task()
        assert task is not None
        for old in kept:
            old.cancel()
        kept.append(task)
        await asyncio.sleep(0)
        for old in kept[:-1]:
            old.cancel()

    await bench.run(keeps, 20)
    assert len(bench.outcomes.successes) == 20


async def test_a_job_that_cancels_itself_last_of_all_ends_no_other() -> None:
    bench = Bench(concurrency=1)

    @bench.task
    async def rude() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    @bench.task
    async def innocent() -> None:
        await asyncio.sleep(0)

    for _ in range(5):
        bench.add(rude)
        bench.add(innocent)
    await bench.quiet()
    assert len(bench.outcomes.successes) == 10


async def test_a_sync_task_has_a_task_and_a_context_of_its_own() -> None:
    bench = Bench(concurrency=1)
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    seen: list[int] = []

    @bench.task
    def note() -> None:
        seen.append(variable.get())
        variable.set(1)

    await bench.run(note, 20)
    assert seen == [0] * 20
    await bench.runner.stop()


async def test_quarantined_jobs_run_one_at_a_time() -> None:
    bench = Bench(concurrency=5)
    most = running = 0

    @bench.task
    async def note() -> None:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await bench.run(note, 10, crash_count=2)
    assert most == 1
    assert len(bench.outcomes.successes) == 10


async def test_nothing_begins_without_a_lease_and_all_does_with_it() -> None:
    bench = Bench()
    bench.lease.lose()

    @bench.task
    async def note() -> None: ...

    bench.add(note, 3)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert bench.runner.buffered == 3
    bench.lease.forget()
    bench.lease.hold(0.0, math.inf)
    await bench.quiet()
    assert len(bench.outcomes.successes) == 3


async def test_what_is_abandoned_writes_nothing_when_it_ends_at_last() -> None:
    bench = Bench(concurrency=1)
    gate = asyncio.Event()

    @bench.task
    async def stubborn() -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    (job_id,) = bench.add(stubborn)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bench.runner.cancel_all("stop")
    await asyncio.sleep(0)
    assert [record["id"] for record, _ in bench.runner.abandon()] == [job_id]
    assert bench.runner.abandon() == []
    gate.set()
    await bench.quiet()
    assert not bench.outcomes.others
    assert not bench.outcomes.successes


async def test_a_job_that_was_given_up_is_held_no_more() -> None:
    """Its outcome is on its way; the same job may be claimed anew, and that claim be lost."""
    bench = Bench(concurrency=2)
    gate = asyncio.Event()

    @bench.task
    async def stubborn() -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    (job_id,) = bench.add(stubborn)
    await eventually(lambda: bench.runner.running == 1)
    await asyncio.sleep(0)
    bench.runner.cancel_all("stop")
    assert bench.runner.receipts() == {(job_id, 7)}
    bench.runner.abandon()
    running, held = bench.runner.running, bench.runner.receipts()
    gate.set()
    await bench.quiet()
    assert running == 1
    assert held == set()


async def test_nobody_waits_for_a_job_that_was_given_up() -> None:
    bench = Bench(concurrency=2)
    gate = asyncio.Event()
    go_on = asyncio.Event()

    @bench.task
    async def stubborn() -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    @bench.task
    async def note() -> None:
        await go_on.wait()

    bench.add(stubborn)
    await eventually(lambda: bench.runner.running == 1)
    await asyncio.sleep(0)
    bench.runner.cancel_all("stop")
    bench.runner.abandon()
    seen = [await bench.runner.wait_quiet(0)]
    bench.add(note)
    seen.append(await bench.runner.wait_quiet(0))
    go_on.set()
    await eventually(lambda: bench.runner.running == 1)
    seen.append(await bench.runner.wait_quiet(0))
    gate.set()
    await bench.quiet()
    assert seen == [True, False, True]


async def test_a_lack_of_memory_costs_no_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second task cannot be made, nor its outcome; the first is cancelled before it begins."""
    bench = Bench(concurrency=2)
    made: list[asyncio.Task[Any]] = []

    def make(*args: Any, **kwargs: Any) -> asyncio.Task[Any]:
        if made:
            args[0].close()
            raise MemoryError
        made.append(asyncio.Task(*args, **kwargs))
        if not made[0].done():
            made[0].cancel()
        return made[0]

    def refuse(entry: Any) -> None:
        raise MemoryError

    @bench.task
    async def hold() -> None:
        await asyncio.Event().wait()

    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    with monkeypatch.context() as patched:
        patched.setattr("pgqueue.worker.run.runner.NewTask", make)
        patched.setattr(bench.outcomes, "add", refuse)
        bench.add(hold, 2)
        await eventually(lambda: not bench.runner.waits)
        await eventually(lambda: bench.runner.running == 0)
    await bench.quiet()


@pytest.mark.parametrize("why", ["stop", "timeout", "cancelled"])
async def test_a_thread_that_had_returned_when_it_was_told_to_end_is_a_success(
    why: Why, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(concurrency=1)
    answers: list[asyncio.Future[Any]] = []

    @bench.task
    def note() -> None: ...

    def submit(call: Callable[[], Any]) -> asyncio.Future[Any]:
        answers.append(asyncio.get_running_loop().create_future())
        return answers[0]

    monkeypatch.setattr(Threads, "submit", lambda self, call: submit(call))
    (job_id,) = bench.add(note)
    await eventually(lambda: bool(answers))
    await asyncio.sleep(0)
    answers[0].set_result(None)
    bench.runner.cancel_all(why)
    await bench.quiet()
    assert bench.outcomes.successes == [job_id]
    assert not bench.outcomes.others


@pytest.mark.parametrize("in_time", [True, False])
async def test_a_stop_lets_a_thread_return_until_it_gives_it_up(in_time: bool) -> None:
    bench = Bench(concurrency=1)
    gate, begun = threading.Event(), threading.Event()

    @bench.task
    def note() -> None:
        begun.set()
        gate.wait(SECONDS)

    (job_id,) = bench.add(note)
    await eventually(begun.is_set)
    bench.runner.cancel_all("stop")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = dict(bench.outcomes.others)
    given_up = [] if in_time else [record["id"] for record, _ in bench.runner.abandon()]
    gate.set()
    await bench.quiet()
    assert not others
    assert given_up == ([] if in_time else [job_id])
    assert bench.outcomes.successes == ([job_id] if in_time else [])
    await bench.runner.stop()


async def test_a_stop_of_the_runner_ends_the_wait_for_a_thread() -> None:
    bench = Bench(concurrency=1)
    gate, begun = threading.Event(), threading.Event()

    @bench.task
    def note() -> None:
        begun.set()
        gate.wait(SECONDS)

    (job_id,) = bench.add(note)
    await eventually(begun.is_set)
    bench.runner.cancel_all("stop")
    await asyncio.sleep(0)
    await bench.runner.stop()
    running = bench.runner.running
    gate.set()
    assert running == 0
    assert bench.outcomes.others == {job_id: RELEASED}


async def test_a_quarantined_job_that_is_none_any_more_lets_the_next_run() -> None:
    """Arguments that come later come with a row of their own."""
    bench = Bench(concurrency=2)

    @bench.task
    async def note() -> None: ...

    ids = await bench.run(note, 2, crash_count=2, args=None)
    assert bench.outcomes.successes == ids


async def test_a_row_past_its_attempts_is_dead_without_a_run() -> None:
    bench = Bench()

    @bench.task
    async def note() -> None:
        raise AssertionError

    (job_id,) = await bench.run(note, attempt=4)
    assert isinstance(bench.outcomes.others[job_id], Dead)


@pytest.mark.parametrize("waits", [False, True])
async def test_a_timeout_in_a_wait_for_a_connection_of_ours_costs_no_attempt(waits: bool) -> None:
    bench = Bench()
    begun = asyncio.Event()

    async def wait() -> None:
        with waiting():
            begun.set()
            await asyncio.Event().wait()

    @bench.task
    async def note() -> None:
        if waits:
            async with asyncio.TaskGroup() as group:  # its tasks have contexts of their own
                group.create_task(wait())
        else:
            await asyncio.Event().wait()

    (job_id,) = bench.add(note, timeout_seconds=3600.0)
    if waits:
        await begun.wait()
    await bench.time_out()
    outcome = bench.outcomes.others[job_id]
    assert isinstance(outcome, Snoozed if waits else RetryAt)


async def test_a_wait_that_is_over_excuses_no_timeout() -> None:
    bench = Bench()

    @bench.task
    async def note() -> None:
        with waiting():
            await asyncio.sleep(0)
        over.set()
        await asyncio.Event().wait()

    over = asyncio.Event()
    (job_id,) = bench.add(note, timeout_seconds=3600.0)
    await over.wait()
    await bench.time_out()
    assert isinstance(bench.outcomes.others[job_id], RetryAt)


async def test_pool_timeouts_put_off_and_are_said_once_in_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()

    @bench.task
    async def note() -> None:
        raise PoolTimeout("all were in use")

    ids = await bench.run(note, 50)
    assert all(isinstance(bench.outcomes.others[job_id], Snoozed) for job_id in ids)
    assert caplog.text.count("in vain") == 1


async def test_no_thread_to_be_had_puts_off(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()

    @bench.task
    def note() -> None: ...

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        (job_id,) = await bench.run(note)
    assert isinstance(bench.outcomes.others[job_id], Snoozed)
    await bench.run(note)
    assert len(bench.outcomes.successes) == 1
    await bench.runner.stop()


async def test_timeouts_and_groups_work_from_the_first_step_on() -> None:
    bench = Bench()
    seen: list[str] = []

    @bench.task
    async def note() -> None:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            seen.append("timeout")
        async with asyncio.TaskGroup() as group:
            inner = group.create_task(asyncio.sleep(0, "inner"))
        seen.append(inner.result())
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    await bench.run(note, 3)
    assert sorted(seen) == ["inner"] * 3 + ["timeout"] * 3


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
async def test_a_forked_child_ends_where_its_task_ends(raises: bool) -> None:
    """Not when the loop gets to it: what else is ready there is its parent's."""
    bench = Bench()
    parent, codes = os.getpid(), list[int]()

    def goes_on() -> None:
        if os.getpid() != parent:
            os._exit(7)

    def wait(pid: int) -> None:
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    @bench.task
    async def fork() -> None:
        asyncio.get_running_loop().call_soon(goes_on)
        pid = os.fork()
        if pid:
            wait(pid)
            return
        bench.runner.disown()
        if raises:
            raise ValueError

    await bench.run(fork)
    assert codes == [1]
    assert len(bench.outcomes.successes) == 1
