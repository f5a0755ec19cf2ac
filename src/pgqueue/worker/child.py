"""One process of a supervisor: ``python -m pgqueue.worker.child``, with the channel as its stdin.

The options come over the channel, since arguments show in ``ps``. TERM and INT ask for a stop and
never for more: a service manager that signals the whole group reaches us twice, by itself and
through the supervisor, and must not force by that. Only the supervisor's word does. When the
supervisor is gone we stop as if told to; no child outlives it for long.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

from pgqueue.cli.load import load_app
from pgqueue.errors import ConfigError, PgQueueError, SchemaError
from pgqueue.observe.logs import configure
from pgqueue.worker.channel import Channel, Message
from pgqueue.worker.worker import Phase, Worker

if TYPE_CHECKING:
    from pgqueue.app import App

__all__ = ["main"]

log = logging.getLogger("pgqueue.worker")

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_MARGIN = 15.0
_EXIT_SECONDS = 5.0
_WRONG = 2


def main() -> int:
    """Run a worker until told to stop; return the exit code."""
    channel = _adopt_stdin()
    messages = channel.messages()
    options = next(messages, None)
    if options is None:
        return 1
    configure(options["log_level"], options["log_format"])
    child = _Child(channel, options)
    threading.Thread(
        target=child.follow, args=(messages,), name="pgqueue-channel", daemon=True
    ).start()
    for number in _SIGNALS:
        signal.signal(number, child.on_signal)
    os.register_at_fork(after_in_child=_reset_signals)
    try:
        child.run()
    except PgQueueError as exc:
        channel.tell(event="failed", why=str(exc))
        return _WRONG if isinstance(exc, (ConfigError, SchemaError)) else 1
    except Exception:
        log.exception("the worker failed")
        return 1
    return 0


def _adopt_stdin() -> Channel:
    """Take the channel to a descriptor of our own: tasks may read stdin, and start programs."""
    end = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return Channel(end)


def _reset_signals() -> None:
    """A process that a task forks ends by a signal as others do, and does not stop its parent."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def _limit_exit(code: int) -> None:
    """End within seconds: the interpreter waits for threads of the app, and they may never end."""

    def end() -> None:
        threading.Event().wait(_EXIT_SECONDS)
        os._exit(code)

    threading.Thread(target=end, name="pgqueue-exit", daemon=True).start()


class _Child:
    """The worker of this process, and who may stop it."""

    def __init__(self, channel: Channel, options: Message) -> None:
        self._channel = channel
        self._options = options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Worker | None = None
        self._asked = 0

    def run(self) -> None:
        """Import the app and run its worker."""
        app = load_app(self._options["target"])
        worker = Worker(app, **self._options["settings"])
        with asyncio.Runner(loop_factory=self._loop_factory()) as runner:
            loop = runner.get_loop()
            work = loop.create_task(worker.run(on_phase=lambda phase: self._tell(phase, app)))
            self._worker, self._loop = worker, loop
            while not work.done():
                try:
                    loop.run_until_complete(work)
                except (SystemExit, KeyboardInterrupt) as exc:
                    # asyncio lets these two through from any of its tasks. The one who waits for
                    # that task gets it as well; the loop can go on.
                    if work.done():
                        raise
                    log.warning("%r was raised in a task of the event loop; it goes on", exc)
            _limit_exit(0 if work.exception() is None else 1)
            work.result()
            self._channel.tell(event="stopped")

    def _loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop] | None:
        if self._options["uvloop"] is False:
            return None
        try:
            import uvloop
        except ImportError:
            return None
        return uvloop.new_event_loop

    def _tell(self, phase: Phase, app: App) -> None:
        self._channel.tell(event=phase, dsn=app.pool.dsn, schema=app.schema)

    # -- from the channel's thread and from signal handlers

    def follow(self, messages: Iterator[Message]) -> None:
        """Do as the supervisor says; stop when it is gone."""
        for message in messages:
            if message["do"] == "force":
                self.force()
            else:
                self.stop()
        if not self._asked:
            log.warning("the supervisor is gone; stopping")
        self.stop()
        threading.Event().wait(self._options["grace"] + _MARGIN)
        os._exit(1)

    def on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Take a signal for a wish to stop."""
        self.stop()

    def stop(self) -> None:
        """Stop in order; asked again, nothing more."""
        if not self._asked:
            self._asked = 1
            self._ask()

    def force(self) -> None:
        """Stop without grace."""
        self.stop()
        if self._asked == 1:
            self._asked = 2
            self._ask()

    def _ask(self) -> None:
        worker, loop = self._worker, self._loop
        if worker is None or loop is None:
            # The app is being imported: nothing has begun, and its import may take long.
            self._channel.tell(event="stopped")
            os._exit(0)
        try:
            loop.call_soon_threadsafe(worker.request_stop)
        except RuntimeError:
            log.debug("asked to stop when all was over")


if __name__ == "__main__":
    sys.exit(main())
