"""Where to connect to: a dsn that stays the same, or a function that is asked for it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import os
import threading
from collections.abc import Callable

from pgqueue.dsn import check_dsn, dsn_from_environment, redact
from pgqueue.errors import ConfigError, PgQueueError, Unreachable, shown

__all__ = ["GivenDsn", "Source"]

GivenDsn = str | Callable[[], str] | None
"""What a user gives: a dsn, a function that returns one, or nothing, for PGQUEUE_DSN."""


class Source:
    """What is asked before each connection is opened, and never before the first is needed.

    A function is asked in each process, and again at each new connection: what it returns may be
    another password. ``embedded:DIR`` is started here, once in a process.
    """

    def __init__(self, given: GivenDsn) -> None:
        if callable(given):
            if inspect.iscoroutinefunction(given):
                raise ConfigError(
                    "dsn must be a string or a plain function without parameters that returns one, "
                    f"got the coroutine function {shown(given)}"
                )
            self.given: GivenDsn = given
        else:
            self.given = None if given is None else check_dsn(given)
        self.creates = True  # of embedded:DIR, the data of the server where there are none
        self._last: str | None = None
        self._pid = os.getpid()
        self._unused = False  # nobody has connected to what was answered last

    def __repr__(self) -> str:
        if callable(self.given):
            return f"(by {getattr(self.given, '__qualname__', 'a function')})"
        return redact(self.given or "(PGQUEUE_DSN)")

    @property
    def dsn(self) -> str:
        """The dsn that was last connected to, or the one to begin with."""
        if self._last is None or self._pid != os.getpid():
            dsn = self.ask()
            self._unused = True
            return dsn
        return self._last

    def ask(self) -> str:
        """Return the dsn of a new connection. Blocks for as long as the function does.

        Raises ConfigError for what is no dsn, Unreachable if the function fails.
        """
        known = self._last if self._pid == os.getpid() else None
        if known is not None and (self._unused or not callable(self.given)):
            self._unused = False
            return known
        dsn = self._call() if callable(self.given) else self.given
        dsn = check_dsn(dsn_from_environment() if dsn is None else dsn)
        if dsn.startswith("embedded:"):
            from pgqueue.embedded import resolve

            dsn = resolve(dsn, create=self.creates)
        self._last, self._pid, self._unused = dsn, os.getpid(), False
        return dsn

    def _call(self) -> object:
        assert callable(self.given)
        try:
            answer = self.given()
        except PgQueueError:
            raise
        except Exception as exc:
            raise Unreachable(
                f"the function that was given as dsn failed: {type(exc).__name__}: {exc}"
            ) from exc
        if not isinstance(answer, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            kind = type(answer).__name__
            raise ConfigError(
                f"the function that was given as dsn must return a string, got a {kind}"
            )
        return answer

    async def aask(self, seconds: float) -> str:
        """Do as ``ask`` does, within so many seconds and without blocking the loop.

        A function is called in a thread and a copy of the context: it may ask a server for secrets.
        """
        if not callable(self.given) or (self._unused and self._pid == os.getpid()):
            return self.ask()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()

        def tell(dsn: str | None, error: BaseException | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            elif dsn is not None:
                answer.set_result(dsn)

        def work() -> None:
            dsn = error = None
            try:
                dsn = self.ask()
            except BaseException as exc:
                error = exc
            with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(tell, dsn, error)

        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(work,), name="pgqueue-dsn", daemon=True).start()
        try:
            return await asyncio.wait_for(answer, seconds)
        except TimeoutError:
            raise Unreachable(
                f"the function that was given as dsn has not returned within {seconds:g} s"
            ) from None
