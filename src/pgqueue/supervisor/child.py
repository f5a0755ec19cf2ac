"""One process of a supervisor: ``python -m pgqueue.supervisor.child``; stdin is a socket to it.

The options come over the socket, since arguments show in ``ps``. TERM and INT ask for a stop and
never for more: a service manager that signals the whole group reaches us twice, by itself and
through the supervisor, and must not force by that. Only the supervisor's word does. When the
supervisor is gone we stop as if told to; no child outlives it for long.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Coroutine, Iterator
from typing import TYPE_CHECKING, Any

from pgqueue import failpoints
from pgqueue.errors import ConfigError, PgQueueError, SchemaError
from pgqueue.observe.aside import leave
from pgqueue.observe.logs import be_heard, defer
from pgqueue.observe.streams import settle
from pgqueue.supervisor.control import Control, Message
from pgqueue.supervisor.slots import WRONG
from pgqueue.worker.guard import Guard
from pgqueue.worker.host import LoopFactory, host
from pgqueue.worker.load import load_app
from pgqueue.worker.running_jobs import RunningJobs
from pgqueue.worker.signals import heeding
from pgqueue.worker.worker import Phase, Worker
from pgqueue.worker.workers import Workers

if TYPE_CHECKING:
    from pgqueue.app import App

__all__ = ["Child", "main"]

log = logging.getLogger("pgqueue.worker")

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> int:
    """Run a worker until told to stop; return the exit code."""
    control = _adopt_stdin()
    messages = control.messages()
    options = next(messages, None)
    if options is None:
        return 1
    running_jobs = [RunningJobs.adopt(end) for end in options["running_jobs"]]
    settle()
    defer()
    failpoints.arm_from_environment()
    child = Child(control, options, running_jobs)
    threading.Thread(
        target=child.follow, args=(messages,), name="pgqueue-control", daemon=True
    ).start()
    code = 1
    try:
        with heeding(_SIGNALS, lambda _: child.stop()):
            child.run()
    except PgQueueError as exc:
        control.tell(event="failed", why=str(exc))
        if isinstance(exc, (ConfigError, SchemaError)):
            code = WRONG
    except Exception:
        log.exception("the worker failed")
    else:
        return 0
    child.guard.ended(code)
    return code


def _adopt_stdin() -> Control:
    """Take the socket to a descriptor of our own: tasks may read stdin, and start programs."""
    end = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return Control(end)


class Child:
    """The worker of this process, and who may stop it."""

    def __init__(self, control: Control, options: Message, running_jobs: list[RunningJobs]) -> None:
        self._control = control
        self._options = options
        self._running_jobs = running_jobs
        self._worker: Worker | Workers | None = None
        # Taken once each and never let go: a signal handler may interrupt who takes them.
        self._stop_asked, self._force_asked = threading.Lock(), threading.Lock()
        self.guard = Guard()

    def run(self) -> None:
        """Import the app and run its worker."""
        app = load_app(self._options["target"], self._options["directory"])
        be_heard(self._options["log_level"], self._options["log_format"])
        worker, work = self._work(app)
        host(
            work,
            guard=self.guard,
            loop_factory=self._loop_factory(),
            on_loop=lambda _: self._adopt(worker),
            on_end=lambda: self._control.tell(event="stopped"),
        )

    def _work(self, app: App) -> tuple[Worker | Workers, Coroutine[Any, Any, None]]:
        settings, cells = self._options["settings"], self._options["cells"]
        how: dict[str, Any] = {"until_idle": self._options["until_idle"], "guard": self.guard}
        if not cells:
            worker = Worker(app, **settings)
            return worker, worker.run(
                on_phase=lambda phase: self._tell(phase, app.pool.dsn, app.schema),
                running_jobs=self._running_jobs[0], **how,
            )  # fmt: skip
        workers = Workers(app, cells=cells, **settings)
        return workers, workers.run(
            on_phase=lambda phase, cell: self._tell(phase, cells[cell], app.schema, cell),
            running_jobs=self._running_jobs, **how,
        )  # fmt: skip

    def _adopt(self, worker: Worker | Workers) -> None:
        self._worker = worker

    def _loop_factory(self) -> LoopFactory | None:
        if self._options["uvloop"] is False:
            return None
        try:
            import uvloop
        except ImportError:
            return None
        return uvloop.new_event_loop

    def _tell(self, phase: Phase, dsn: str, schema: str, cell: int = 0) -> None:
        self._control.tell(event=phase, dsn=dsn, schema=schema, cell=cell)

    # -- from the thread of the control and from signal handlers

    def follow(self, messages: Iterator[Message]) -> None:
        """Do as the supervisor says; stop when it is gone."""
        for message in messages:
            if message["do"] == "force":
                self.force()
            else:
                self.stop()
        if not self._stop_asked.locked():
            log.warning("the supervisor is gone; stopping")
        self.stop()

    def stop(self) -> None:
        """Stop in order; asked again, nothing more."""
        if self._stop_asked.acquire(blocking=False):
            self._ask()

    def force(self) -> None:
        """Stop without grace."""
        self.stop()
        if self._force_asked.acquire(blocking=False):
            self._ask()

    def _ask(self) -> None:
        if self._worker is None:
            # The app is being imported: nothing has begun, and its import may take long.
            self._control.tell(event="stopped")
            leave(0)
        self._worker.request_stop()


if __name__ == "__main__":
    sys.exit(main())
