"""Ends a process of ours whose worker cannot end it: no job decides over that.

One thread, from the start of the process. It does nothing until somebody asks for a stop::

    watching --ask--> stopping --jobs_over--> writing --ended--> closing
                         |                       |                  |
                         |  the loop is blocked  |  too long        |  2 s
                         '--> release, exit 1    '--> exit 1        '--> exit with the worker's code

A stop that takes its time is left alone as long as the event loop answers: it has bounds of its
own. A second ``ask`` is for a stop at once.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

from pgqueue.config import WorkerSettings
from pgqueue.observe.aside import leave
from pgqueue.worker.stop_times import (
    CANCEL_SECONDS,
    CLOSE_SECONDS,
    FORCED_SECONDS,
    PROBE_SECONDS,
    RELEASE_SECONDS,
    patience,
)

__all__ = ["Guard", "Request"]

log = logging.getLogger("pgqueue.worker")

_PRINT_SECONDS = 2.0
assert _PRINT_SECONDS <= CLOSE_SECONDS  # then the process is ended, printed or not
_FAILED = 1
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_hearing: list[Guard] = []


@dataclass(frozen=True, slots=True)
class Request:
    """When a stop was asked for, in monotonic seconds; ``forced_at``: when for the second time."""

    asked_at: float = math.inf
    forced_at: float = math.inf

    @classmethod
    def of(cls, asked: Sequence[float], heard: Sequence[float]) -> Request:
        """Return what was asked for. A signal is in both lists, once its handler has run."""
        first, second = (
            min((times[n] for times in (asked, heard) if len(times) > n), default=math.inf)
            for n in (0, 1)
        )
        return cls(first, second)

    def jobs_end_at(self, settings: WorkerSettings) -> float:
        """Return when no job is waited for any more."""
        return min(self.asked_at + settings.grace + CANCEL_SECONDS, self.forced_at + FORCED_SECONDS)

    def all_ends_at(self, settings: WorkerSettings) -> float:
        """Return when the process is ended whatever it does."""
        return min(
            self.asked_at + patience(settings), self.forced_at + patience(settings, forced=True)
        )


class Guard:
    """The thread. Its methods may be called from any thread and from signal handlers."""

    def __init__(
        self, leave: Callable[[int], object] = leave, *, probe_seconds: float = PROBE_SECONDS
    ) -> None:
        self._leave = leave
        self._probe_seconds = probe_seconds
        self._asked: list[float] = []
        self._heard: list[float] = []
        self._settings = WorkerSettings()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._say_stopping: Callable[[], object] = int
        self._release: Callable[[float], object] | None = None
        self._writing = False
        self._closing: tuple[float, int] | None = None
        self._ear, self._bell = socket.socketpair()
        self._bell.setblocking(False)
        threading.Thread(target=self._main, name="pgqueue-guard", daemon=True).start()

    def watch(
        self,
        settings: WorkerSettings,
        loop: asyncio.AbstractEventLoop,
        *,
        say_stopping: Callable[[], object],
        release: Callable[[float], object],
    ) -> None:
        """Watch over the worker of this loop.

        ``say_stopping`` lets other workers know; ``release`` releases its jobs within so many
        seconds. Neither needs the loop.
        """
        self._settings, self._loop = settings, loop
        self._say_stopping, self._release = say_stopping, release

    def ask(self, at: float | None = None) -> None:
        """Somebody asked for a stop; the second time, for one at once.

        ``at``: when, in monotonic seconds; by default now.
        """
        self._asked.append(time.monotonic() if at is None else at)
        self._ring()

    @contextmanager
    def hearing(self) -> Generator[None]:
        """Hear TERM and INT for the body even while the main thread is inside a call that they do
        not interrupt, so that no handler of theirs can run. To be called there, in the loop."""
        before = signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)
        _hearing.append(self)
        try:
            yield
        finally:
            _hearing.remove(self)
            signal.set_wakeup_fd(before)

    def jobs_over(self) -> None:
        """No job is waited for any more: what is left is to be written."""
        self._writing = True
        self._ring()

    def ended(self, code: int) -> None:
        """The worker has ended. Closing the loop and the interpreter may wait for what its jobs
        left behind: for two seconds, then the process ends with this code."""
        self._closing = time.monotonic() + CLOSE_SECONDS, code
        self._ring()
        # From Python 3.12 on, no thread can begin once the interpreter ends.
        over = threading.Event()
        printer = threading.Thread(
            target=_write_printed, args=(over,), name="pgqueue-print", daemon=True
        )
        with suppress(RuntimeError):  # none can be had: the interpreter writes it
            printer.start()
            atexit.register(_leave_what_nobody_reads, code, over, printer)

    def _ring(self) -> None:
        with suppress(OSError):  # full: it is awake
            self._bell.send(b"\0")

    # -- in the thread

    def _main(self) -> None:
        while True:
            wait = self._look(time.monotonic())
            self._ear.settimeout(None if wait == math.inf else max(wait, 0.001))
            with suppress(TimeoutError):
                for _ in filter(_SIGNALS.__contains__, self._ear.recv(4096)):
                    self._hear()

    def _hear(self) -> None:
        self._heard.append(time.monotonic())
        self._say_stopping()
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(int)  # uvloop runs handlers when it is woken

    def _look(self, now: float) -> float:  # noqa: RET503  (_end does not return)
        """Do what is due; return for how long nothing is."""
        if self._closing is not None:
            at, code = self._closing
            if now >= at:
                self._end(code, logging.WARNING, "what jobs left behind does not end; leaving it")
            return at - now
        request = Request.of(self._asked, self._heard)
        last = request.all_ends_at(self._settings)
        if now >= last:
            self._end(_FAILED, logging.ERROR, "the worker does not stop in time; leaving")
        at = last if self._writing else min(request.jobs_end_at(self._settings), last)
        if now < at:
            return at - now
        if self._answers():
            return self._probe_seconds
        if self._release is not None:
            self._release(RELEASE_SECONDS)
        self._end(
            _FAILED, logging.ERROR,
            "a job blocks the event loop, so the worker cannot stop; its jobs are released, "
            "and the process ends",
        )  # fmt: skip

    def _answers(self) -> bool:
        """True if the worker's loop lives."""
        answer = threading.Event()
        try:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(answer.set)
        except RuntimeError:
            return True  # it is closed: all is over
        return answer.wait(self._probe_seconds)

    def _end(self, code: int, level: int, why: str) -> NoReturn:
        log.log(level, why)
        self._leave(code)
        raise SystemExit


def _leave_what_nobody_reads(code: int, over: threading.Event, printer: threading.Thread) -> None:
    """End at once if stdout or stderr takes nothing: the interpreter would wait for ever.

    It writes what was printed when no other thread runs any more.
    """
    over.set()
    printer.join(_PRINT_SECONDS)
    if printer.is_alive():
        os._exit(code)


def _write_printed(over: threading.Event) -> None:
    over.wait()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()


def _stop_hearing() -> None:
    """A forked process writes nothing to the socket that it shares with its parent."""
    if _hearing:
        _hearing.clear()
        signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_stop_hearing)
