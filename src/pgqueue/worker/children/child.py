"""A worker's end of one child process: starts it, hands it jobs, hears how they ended, kills it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from pgqueue.errors import ProcessDied
from pgqueue.worker.children.frames import Frames, Hello, Said, pack

__all__ = ["Child", "how_it_ended"]

_decode = msgspec.json.Decoder(Said).decode
_PROGRAM = "pgqueue.worker.child_process"
_POLL_SECONDS = 0.02
_LETS_GO_SECONDS = 5.0  # for what the app has registered to be called at exit


def how_it_ended(code: int) -> str:
    """Say how a process ended, by its exit code; a negative one is a signal."""
    if code >= 0:
        return f"its process exited with code {code}"
    with contextlib.suppress(ValueError):
        return f"its process exited with signal {-code} ({signal.Signals(-code).name})"
    return f"its process exited with signal {-code}"


class Owner(Protocol):
    """Whose child it is: the pool."""

    def free(self, child: Child) -> None:
        """Take a child that is ready for a job."""
        ...

    def gone(self, child: Child) -> None:
        """Note that a child has ended."""
        ...


class Child(asyncio.Protocol):
    """A process that runs one job at a time."""

    def __init__(self, hello: Hello, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self._hello, self._owner, self._loop = hello, owner, loop
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Said] | None = None
        self._fields: Mapping[str, object] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.is_ready = False
        self.failure = ""  # why it did not start
        self._is_dismissed = False
        self.memory: int | None = None  # the limit of its job, in bytes
        self.since = 0.0  # from when on it has been idle, in monotonic seconds

    @property
    def is_busy(self) -> bool:
        """True while it runs a job."""
        return self._answer is not None

    @property
    def is_alive(self) -> bool:
        """False once its process has ended, also where nobody has noticed yet."""
        return self.process is not None and self.process.poll() is None

    @property
    def hears(self) -> bool:
        """False once it cannot be given a job any more."""
        return self.is_alive and self._transport is not None and not self._transport.is_closing()

    async def start(self) -> None:
        """Start the process: by this thread, whose end would be taken for that of the worker."""
        ours: socket.socket | None = None
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                command = [sys.executable, "-m", _PROGRAM]
                self.process = subprocess.Popen(  # noqa: ASYNC220  (some milliseconds)
                    command, stdin=theirs.fileno(), start_new_session=True
                )
            await self._loop.create_unix_connection(lambda: self, sock=ours)
        except BaseException as exc:
            if ours is not None:
                ours.close()
            self.failure = f"it could not be started: {exc}"
            await self.end()
            raise

    def run(
        self, order: bytes, *, memory: int | None, fields: Mapping[str, object]
    ) -> asyncio.Future[Said]:
        """Hand it a job; return the answer to come, or ProcessDied. ``fields``: of its log."""
        answer = self._answer = self._loop.create_future()
        self.memory, self._fields = memory, fields
        if self._transport is not None:
            self._transport.write(order)
        return answer

    def kill(self, why: BaseException | None = None) -> None:
        """Kill it, and what it has started. ``why``: what its job failed with."""
        if why is not None:
            self._answered(why)
        if self.process is not None and self.is_alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        if self._transport is not None:
            self._transport.abort()

    def dismiss(self) -> None:
        """Let it end: it has no job."""
        self._is_dismissed = True
        if self._transport is not None:
            self._transport.close()

    async def end(self) -> None:
        """Wait until its process has ended; its job fails with how that was."""
        try:
            if self.process is not None:
                text = how_it_ended(await self._code(self.process))
                self.failure = self.failure or text
                self._answered(ProcessDied(text))
        finally:
            self._owner.gone(self)

    async def _code(self, process: subprocess.Popen[bytes]) -> int:
        """Return the exit code of the process. One that was not let go has closed its end: kill it.

        No thread waits for it, because a job may have used up all that the process may have.
        """
        patience = time.monotonic() + (_LETS_GO_SECONDS if self._is_dismissed else 0.0)
        while (code := process.poll()) is None:
            if time.monotonic() >= patience:
                self.kill()
            await asyncio.sleep(_POLL_SECONDS)
        return code

    # -- of the connection

    def connection_made(self, transport: Any) -> None:  # uvloop's is of no class of asyncio
        """Say which app it is to import."""
        self._transport = transport
        transport.write(pack(self._hello))

    def data_received(self, data: bytes) -> None:
        """Take what the child says."""
        for body in self._frames.feed(data):
            said = _decode(body)
            match said.kind:
                case "log":
                    _relay(said, self._fields)
                case "ready":
                    self.is_ready = True
                    self._rest()
                case "unfit":
                    self.failure = said.text
                case _:
                    self._answered(said)
                    self._rest()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """It has ended, or is about to."""
        self._loop.create_task(self.end(), name="pgqueue child ends")

    def _rest(self) -> None:
        self.memory, self._fields, self.since = None, {}, time.monotonic()
        self._owner.free(self)

    def _answered(self, what: Said | BaseException) -> None:
        answer, self._answer = self._answer, None
        if answer is None or answer.done():
            return
        if isinstance(what, Said):
            answer.set_result(what)
        else:
            answer.set_exception(what)


def _relay(said: Said, fields: Mapping[str, object]) -> None:
    """Log here what a child has logged, with the job that it runs."""
    with contextlib.suppress(Exception):  # handlers are the user's
        logger = logging.getLogger(said.name)
        if not logger.isEnabledFor(said.level):
            return
        record = logger.makeRecord(
            said.name, said.level, _PROGRAM, 0, "%s", (said.text,), None, extra=dict(fields)
        )
        record.exc_text = said.trace or None
        logger.handle(record)
