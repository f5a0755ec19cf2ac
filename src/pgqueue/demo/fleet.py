"""The workers of the demo, under a supervisor in a process of its own.

``python -m pgqueue.demo.fleet``, with a pipe from the demo as its stdin: when the demo is gone,
however it ended, the pipe is at its end, and the workers stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from pgqueue.demo.names import APP, CONCURRENCY, PROCESSES
from pgqueue.demo.place import Place

__all__ = ["Fleet", "lend_fleet", "main"]

_GRACE = 5.0
_PATIENCE = 30.0
_LOOK_SECONDS = 0.02


class Fleet:
    """The process that supervises the workers."""

    def __init__(self, place: Place) -> None:
        path = [str(Path(__file__).parents[2]), *filter(None, sys.path)]
        with place.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pgqueue.demo.fleet"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                env={
                    **os.environ,
                    "PGQUEUE_DSN": place.dsn,
                    "PYTHONPATH": os.pathsep.join(path),
                    "PYTHONSAFEPATH": "1",
                },
                start_new_session=True,  # a Ctrl-C at the terminal is for the demo alone
            )

    @property
    def is_running(self) -> bool:
        """False once it has ended."""
        return self._process.poll() is None

    async def stop(self) -> None:
        """Stop the workers in order; kill what does not stop."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_PATIENCE):
                while self.is_running:  # noqa: ASYNC110  (a process rings no bell)
                    await asyncio.sleep(_LOOK_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@asynccontextmanager
async def lend_fleet(place: Place) -> AsyncGenerator[Fleet, None]:
    """Lend a fleet that is just starting; stop it afterwards."""
    fleet = Fleet(place)
    try:
        yield fleet
    finally:
        with contextlib.suppress(TimeoutError):
            await fleet.stop()


def main() -> int:
    """Supervise until stdin is at its end; return the exit code."""
    from pgqueue.supervisor.supervisor import Supervisor

    supervisor = Supervisor(
        APP, settings={"concurrency": CONCURRENCY, "grace": _GRACE}, processes=PROCESSES
    )
    threading.Thread(target=_follow, name="pgqueue-demo-pipe", daemon=True).start()
    return supervisor.run()


def _follow() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    from pgqueue.observe.logs import configure

    configure()
    sys.exit(main())
