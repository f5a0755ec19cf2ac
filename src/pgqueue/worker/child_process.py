"""A child process of a worker: ``python -m pgqueue.worker.child_process``; stdin is a socket to it.

It imports the app as the worker did, runs one job after another, and ends when the worker is gone,
also in the middle of a job: a thread watches the socket, and Linux kills it by itself.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import copy_context
from functools import partial
from typing import Any

import msgspec

from pgqueue.app import App
from pgqueue.cell import app_at
from pgqueue.completing import Completion
from pgqueue.errors import UnknownTask
from pgqueue.failure import describe
from pgqueue.operations.verbs import AT
from pgqueue.running import CURRENT, RunningJob
from pgqueue.worker.children.frames import Frames, Hello, Order, Said, pack
from pgqueue.worker.forked import came_back
from pgqueue.worker.load import load_app
from pgqueue.worker.put_off import PUT_OFF
from pgqueue.worker.run.callers import not_committed
from pgqueue.worker.run.in_child import said_of
from pgqueue.worker.run.transaction import JobTransactions
from pgqueue.worker.run.verdict import Verdict, judge

__all__ = ["Line", "Runs", "main"]

log = logging.getLogger("pgqueue.worker")

_PIECE = 1 << 18
_SET_PDEATHSIG = 1
_ENDS_WITHIN = 5.0  # an interpreter that has nothing to do


class Line:
    """The socket to the worker. Any thread may say something; one reads."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._lock = threading.Lock()
        self.busy = False  # a job runs just now
        self._pid = os.getpid()

    def say(self, said: Said) -> None:
        """Tell the worker; without one, end. What a job has forked says nothing, and ends."""
        if os.getpid() != self._pid:
            came_back()
        try:
            with self._lock:
                self._end.sendall(pack(said))
        except OSError:
            os._exit(1)

    def values(self) -> Iterator[bytes]:
        """Yield what the worker says, until it is gone."""
        frames = Frames()
        while data := self._end.recv(_PIECE):
            yield from frames.feed(data)

    def watch(self) -> None:
        """End with the worker: a job that runs just now goes on no longer."""
        poll = select.poll()
        poll.register(self._end, 0)  # nothing but its end
        poll.poll()
        time.sleep(0 if self.busy else _ENDS_WITHIN)
        os._exit(1)


class Runs:
    """Runs jobs of an app in this process, one at a time."""

    def __init__(self, app: App, deadline: float) -> None:
        self._app = app
        self._transactions = JobTransactions(app.pool, deadline=deadline)
        self._loop = asyncio.Runner()  # one for all jobs: connections belong to it

    def run(self, order: Order) -> Said:
        """Run a job, and return how that ended."""
        row = order.row
        try:
            task = self._app.tasks.get(row["task"])
        except UnknownTask as error:  # it was not made by importing the app
            return said_of(Verdict(PUT_OFF.a_moment(), describe(error), waited=True))
        job = RunningJob(row, order.token, self._transactions, task.is_async)  # type: ignore[arg-type]  # pyright: ignore
        context = copy_context()
        context.run(CURRENT.set, job)
        error: BaseException | None = None
        try:
            args, kwargs = task.payload.decode(row["args"])
            result: Any = context.run(partial(task.call, *args, **kwargs))
            if task.is_async:
                self._loop.run(result, context=context)
        except BaseException as exc:
            error = exc
        if job.completion is Completion.IN_DOUBT:
            self._loop.run(self._transactions.callers.settle(job))
        if job.is_completed:
            if error is not None:
                log.warning(
                    "job %d (%s) is completed, but raised after its transaction: %s",
                    job.id, job.task, type(error).__name__, exc_info=error,
                )  # fmt: skip
            return Said("done", completed=True, used=job.used)
        if error is None and job.completion is not None:
            error = not_committed(job)
        if error is None:
            return Said("done", used=job.used)
        verdict = judge(None, error, row, task, PUT_OFF)
        assert verdict is not None  # nobody told it to end: then it is killed
        said = said_of(verdict)
        said.used = job.used
        return said


class _Relay(logging.Handler):
    """Hands what is logged to the worker."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        try:
            trace = record.exc_text or ""
            if record.exc_info and not trace:
                trace = logging.Formatter().formatException(record.exc_info)
            text = record.getMessage()
        except Exception:
            self.handleError(record)
            return
        self._line.say(Said("log", name=record.name, level=record.levelno, text=text, trace=trace))


def main() -> None:
    """Be a child until the worker is gone."""
    parent = os.getppid()
    _die_with_parent(parent)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _unheard)  # the worker decides; programs of a job get them
    end = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    line = Line(end)
    values = line.values()
    first = next(values, None)
    if first is None:
        return  # the worker has ended meanwhile
    hello = msgspec.json.decode(first, type=Hello)
    threading.Thread(target=line.watch, name="pgqueue-watch", daemon=True).start()
    sys.path[:] = hello.path
    try:
        app = load_app(hello.target)
    except BaseException as exc:
        line.say(Said("unfit", text=f"{type(exc).__name__}: {exc}"))
        raise SystemExit(1) from None
    root = logging.getLogger()
    root.handlers[:] = [_Relay(line)]
    root.setLevel(hello.level)
    if hello.dsn is not None:
        app = app_at(app, hello.dsn, schedules=False)
        AT.set(app)
    os.register_at_fork(after_in_child=_log_to_stderr)
    runs = Runs(app, hello.deadline)
    line.say(Said("ready"))
    orders = msgspec.json.Decoder(Order)
    for value in values:
        line.busy = True
        said = runs.run(orders.decode(value))
        line.busy = False
        line.say(said)


def _unheard(number: int, frame: object) -> None:
    """Do nothing."""


def _log_to_stderr() -> None:
    """Log what a fork says where it can be seen: the line is its parent's."""
    logging.getLogger().handlers[:] = [logging.StreamHandler()]


def _die_with_parent(parent: int) -> None:
    """Have the kernel kill this process as soon as the worker is gone, where it can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


if __name__ == "__main__":
    from pgqueue.worker import child_process  # noqa: PLW0406

    child_process.main()  # under its name, by which tracebacks leave its frames out
