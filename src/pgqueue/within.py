"""The connection that an enqueue joins where none is given: of ``within``, or of the provider.

``using(connection=)`` goes before ``within``, that before the app's provider, that before a
connection of our own.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Generic, TypeVar

from pgqueue.drivers.recognise import check_connection
from pgqueue.errors import ConfigError, shown

__all__ = ["Joining", "Provider", "Within", "without_blocks"]

C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)
Provider = Callable[[], object]
"""Returns the connection that an enqueue joins, or None for one of our own."""


class Joining:
    """The part of a client that knows which connection an enqueue joins."""

    def __init__(self, provider: Provider | None) -> None:
        if provider is not None and (
            not callable(provider) or inspect.iscoroutinefunction(provider)
        ):
            raise ConfigError(
                "connection must be a function without parameters that returns a connection, "
                f"got {shown(provider)}; for one connection, use app.within(connection)"
            )
        self._provider = provider

    def within(self, connection: C) -> Within[C]:
        """Let each enqueue of a block join this connection, unless it is given another one.

        ``with app.within(connection):`` or ``async with``; either will do for any connection that
        ``using(connection=...)`` takes. None: one of the app's own, in spite of an outer block or
        a provider. The connection stays the caller's: nothing here commits or closes it.
        """
        return Within(self, connection)

    def join(self) -> object | None:
        """Return the connection that an enqueue joins where none is given; None: one of our own."""
        block = _current.get()
        if block is not None:
            found = block.of(self)
            if found is not None:
                return found.connection
        return None if self._provider is None else self._provider()


class Within(Generic[C_co]):
    """The context manager behind ``Joining.within``.

    Blocks of several clients are one chain. A block that was left stays marked as such: it may
    be left in another context than it was entered in, and tasks and threads that began inside it
    have a copy of the context.
    """

    __slots__ = ("_client", "_entered_by", "_left", "_outer", "connection")

    def __init__(self, client: Joining, connection: C_co) -> None:
        if connection is not None:
            check_connection(connection)
        self.connection = connection
        self._client = client
        self._outer: Within[object] | None = None
        self._entered_by: object | None = None
        self._left = False

    def of(self, client: Joining) -> Within[object] | None:
        """Return the innermost open block of this client, from here outwards.

        Raises ConfigError in a task or thread that began inside a block and outlives it.
        """
        block: Within[object] | None = self
        while block is not None:
            if block._client is client:
                if not block._left:
                    return block
                if block._entered_by is not _runner():
                    raise ConfigError(
                        "this code began inside a block of within() that has been left since, so "
                        "its transaction is over; enqueue inside a block of its own, or in "
                        "within(None) on one of the app's own connections"
                    )
            block = block._outer
        return None

    def __enter__(self) -> C_co:
        if self._entered_by is not None:
            raise ConfigError("this block was entered already; call within() anew")
        self._entered_by = runner = _runner()
        outer = _current.get()
        while outer is not None and outer._left and outer._entered_by is runner:
            outer = outer._outer  # it was left in another context
        self._outer = outer
        _current.set(self)
        return self.connection

    def __exit__(self, *_: object) -> None:
        self._left = True
        # Not Token.reset: it fails in another context than the one that the block began in.
        if _current.get() is self:
            _current.set(self._outer)

    async def __aenter__(self) -> C_co:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()


def without_blocks(context: Context) -> Context:
    """Let no block be open in this context; return it."""
    context.run(_current.set, None)
    return context


def _runner() -> object:
    """Return the task that runs this, or its thread."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return threading.current_thread() if task is None else task


_current: ContextVar[Within[object] | None] = ContextVar("pgqueue within", default=None)
