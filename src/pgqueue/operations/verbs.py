"""A verb written once: a method that checks its values and returns the work, made into two.

``blocking`` decorates it; ``awaitable`` makes the twin of that. Both keep the method's parameters.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from functools import update_wrapper
from inspect import unwrap
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast

from pgqueue.db.pool import Pool
from pgqueue.drivers.lent import lend, lend_blocking

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["AT", "Base", "Work", "awaitable", "blocking", "here"]

P = ParamSpec("P")
T = TypeVar("T")
B = TypeVar("B", bound="Base")


class Base:
    """A client, as the verbs need it: its connections and its schema.

    ``home``: of an app at one of several servers, the app.
    """

    pool: Pool
    schema: str
    home: Self | None = None


AT: ContextVar[Base | None] = ContextVar("pgqueue at", default=None)
"""The app at the server of the job that runs."""


def here(client: B) -> B:
    """Return the client, or, inside a job of another server, itself at that server."""
    there = AT.get()
    return client if there is None or there.home is not client else cast("B", there)


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """What a call does on a connection; ``checked`` and ``seconds``: see ``Pool.run``.

    ``connection``: the caller's, in place of one of the pool's.
    """

    run: Callable[[Connection], Awaitable[T]]
    connection: object | None = None
    checked: bool = True
    seconds: float | None = None


def blocking(method: Callable[Concatenate[B, P], Work[T]]) -> Callable[Concatenate[B, P], T]:
    """Make a method that does the work and returns its answer."""
    name = method.__name__

    def call(self: B, /, *args: P.args, **kwargs: P.kwargs) -> T:
        work = method(self, *args, **kwargs)
        if work.connection is not None:
            return lend_blocking(work.connection, work.run)
        return here(self).pool.run(work.run, what=name, checked=work.checked, seconds=work.seconds)

    # help() says what the caller gets.
    answer = method.__annotations__["return"].removeprefix("Work[").removesuffix("]")
    method.__annotations__["return"] = answer
    return update_wrapper(call, method)


def awaitable(
    verb: Callable[Concatenate[B, P], T], doc: str | None = None
) -> Callable[Concatenate[B, P], Coroutine[Any, Any, T]]:
    """Make the twin of a ``blocking`` method, for async code; ``doc``: if its own is too long."""
    method: Callable[Concatenate[B, P], Work[T]] = unwrap(verb)

    async def call(self: B, /, *args: P.args, **kwargs: P.kwargs) -> T:
        work = method(self, *args, **kwargs)
        if work.connection is not None:
            return await lend(work.connection, work.run)
        return await here(self).pool.arun(work.run, checked=work.checked, seconds=work.seconds)

    update_wrapper(call, method)
    call.__name__ = f"a{verb.__name__}"
    call.__qualname__ = f"{verb.__qualname__.rpartition('.')[0]}.{call.__name__}"
    call.__doc__ = doc or verb.__doc__
    return call
