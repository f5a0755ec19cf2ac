"""A child as its supervisor sees it: a process, the control of it, and what it has said so far."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping

from pgqueue.supervisor.control import Control, Message
from pgqueue.supervisor.slots import Ending
from pgqueue.worker.running_jobs import RunningJobs

__all__ = ["Process", "environment_of"]


class Process:
    """A fresh interpreter that runs a worker, for one server or several.

    It gets a session of its own: what a terminal sends to the foreground, Ctrl-C above all, reaches
    the supervisor alone.
    """

    def __init__(
        self,
        number: int,
        options: Mapping[str, object],
        env: Mapping[str, str],
        *,
        servers: int,
    ) -> None:
        self.number = number
        self.since = time.monotonic()
        self.started = False
        self.told_to_stop = False
        self.stopped = False
        self.why: str | None = None
        self.kill_at: float | None = None
        shared = [RunningJobs.shared() for _ in range(servers)]
        self._running_jobs = [running_jobs for running_jobs, _ in shared]
        with contextlib.ExitStack() as files:
            ends = [files.enter_context(file).fileno() for _, file in shared]
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    self._popen = subprocess.Popen(
                        [sys.executable, *_path_flags(), "-m", "pgqueue.supervisor.child"],
                        stdin=theirs.fileno(),
                        pass_fds=ends,
                        env={**os.environ, **env},
                        start_new_session=True,
                    )
                except BaseException:
                    ours.close()
                    raise
            ours.setblocking(False)
            self.control = Control(ours)
            self.control.tell(**options, running_jobs=ends)

    def __repr__(self) -> str:
        return f"process {self.number} (pid {self.pid})"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def read(self) -> list[Message] | None:
        """Return what it has said since; None if it will say no more."""
        return self.control.read()

    def stop(self, *, patience: float, force: bool = False) -> None:
        """Ask it to stop; it is to be killed if it still runs after so many seconds."""
        self.told_to_stop = True
        self.control.tell(do="force" if force else "stop")
        self.kill_at = time.monotonic() + patience

    def kill(self) -> None:
        """End it."""
        self.kill_at = None
        self._popen.kill()

    def ended(self) -> int | None:
        """Return its exit code (minus the signal's number), None while it runs."""
        return self._popen.poll()

    def ending(self, code: int) -> Ending:
        """Return how it ended, with this exit code."""
        age = time.monotonic() - self.since
        return Ending(code, self.started, self.stopped, self.why, age)

    def begun(self, server: int) -> list[tuple[int, int]]:
        """Return ids and claim tokens of the jobs of a server that it ran when it ended."""
        return self._running_jobs[server].read()

    def wait(self) -> None:
        """Wait for its end."""
        self._popen.wait()

    def close(self) -> None:
        """Let go of the control."""
        self.control.close()

    def how(self, code: int) -> str:
        """Say how it ended."""
        if code < 0:
            known = {number.value: number.name for number in signal.Signals}
            return f"was killed by {known.get(-code, f'signal {-code}')}"
        if code == 0 and not self.stopped:
            return "left without stopping its worker (exit code 0)"
        return f"ended with exit code {code}" + (f": {self.why}" if self.why else "")


def environment_of(supervisor: int, dsn: str | None, schema: str | None) -> dict[str, str]:
    """Return the variables of a child, beside our own."""
    given = {"PGQUEUE_SUPERVISOR": str(supervisor), "PGQUEUE_DSN": dsn, "PGQUEUE_SCHEMA": schema}
    return {name: value for name, value in given.items() if value is not None}


def _path_flags() -> list[str]:
    """Return what keeps the current directory off the child's path if it is kept off ours.

    PYTHONSAFEPATH is inherited; a flag is not, and -m puts that directory before all modules.
    """
    if sys.flags.isolated:
        return ["-I"]
    return ["-P"] if sys.flags.safe_path else []
