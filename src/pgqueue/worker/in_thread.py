"""A worker in a thread of a program that does something else, as a web server does."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Protocol, Self

from pgqueue.errors import ConfigError
from pgqueue.worker.watchers import Phase

__all__ = ["WorkerThread"]

log = logging.getLogger("pgqueue.worker")

_FORCED_SECONDS = 30.0  # what a stop without grace takes at most; see worker/stop_times.py

_alive: set[WorkerThread] = set()


class _Worker(Protocol):
    """What it needs of the worker."""

    thread: WorkerThread | None

    @property
    def is_running(self) -> bool: ...
    def run(self, *, on_phase: Callable[[Phase], None]) -> Coroutine[Any, Any, None]: ...
    def request_stop(self, *, once: bool = False) -> None: ...


class WorkerThread:
    """What ``Worker.start_in_thread`` returns. As a context manager it stops at the end.

    At the end of the program, once its main thread has ended, it stops as well: jobs that run get
    their grace.
    """

    def __init__(self, worker: _Worker) -> None:
        self._worker = worker
        self._process = os.getpid()
        self._begun = threading.Event()  # it has started, or failed
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="pgqueue-worker", daemon=True)

    @property
    def is_alive(self) -> bool:
        """True from the start until the worker has stopped or failed; False in a forked process."""
        return os.getpid() == self._process and self._thread.is_alive()

    def start(self, timeout: float | None) -> None:
        """Begin, and wait until the worker has started. ``Worker.start_in_thread`` calls this."""
        worker = self._worker
        if worker.is_running or (worker.thread is not None and worker.thread.is_alive):
            raise ConfigError("this worker runs already")
        worker.thread = self
        _stop_at_exit()
        _alive.add(self)
        self._thread.start()
        self._begun.wait(timeout)
        if self._error is not None:
            self._thread.join()
            self._raise()

    def stop(self, timeout: float | None = None) -> None:
        """Stop in order, within the worker's grace and some seconds; from any other thread.

        After ``timeout`` seconds, if given, it stops without grace: jobs that run are released.
        Raises what made the worker fail meanwhile, if anything did.
        """
        if os.getpid() != self._process:
            raise ConfigError(
                f"this worker runs in process {self._process}, which forked this one: start a "
                "worker here, after the fork, and stop that"
            )
        if threading.current_thread() is self._thread:
            raise ConfigError("a job cannot stop() its worker and wait: use worker.request_stop()")
        if self._thread.is_alive():
            self._worker.request_stop(once=True)
            self._thread.join(timeout)
            if self._thread.is_alive():
                self._worker.request_stop()
                self._thread.join(_FORCED_SECONDS)
        self._raise()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        ended = False

        async def work() -> None:
            nonlocal ended
            await self._worker.run(on_phase=self._on_phase)
            ended = True

        try:
            asyncio.run(work())
        except BaseException as exc:
            # At the end of a program Python 3.12.1 refuses the last thread of asyncio.run().
            self._error = None if ended else exc
        finally:
            _alive.discard(self)
            self._begun.set()

    def _on_phase(self, phase: Phase) -> None:
        if phase == "started":
            self._begun.set()


@functools.cache
def _stop_at_exit() -> None:
    """Have all stopped at the end, before executors take no more and heartbeats release all.

    What was registered last is called first: so those of executors have to be there.
    """
    import concurrent.futures.thread  # noqa: F401  # pyright: ignore[reportUnusedImport]

    register: Any = vars(threading)["_register_atexit"]
    register(_stop_all)


def _stop_all() -> None:
    for thread in tuple(_alive):
        if thread.is_alive:
            try:
                thread.stop()
            except Exception:
                log.exception("a worker in a thread failed")
