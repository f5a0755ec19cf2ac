"""A task whose handler takes a list: each item is the argument of a job of its own."""

from __future__ import annotations

import asyncio
import functools
import inspect
import typing
import weakref
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from pgqueue.around import is_async
from pgqueue.batch.gather import Gatherer
from pgqueue.config import check_int, check_seconds
from pgqueue.errors import ConfigError
from pgqueue.payload import Payload
from pgqueue.payload.signature import resolve
from pgqueue.running import CURRENT
from pgqueue.shape import where
from pgqueue.task import Task

__all__ = ["BatchTask", "check_batch", "one_of", "refuse_wait", "takes_one"]

I_ = TypeVar("I_")
R_co = TypeVar("R_co", covariant=True)

_MOST = 10_000
_WAIT, _LONGEST_WAIT = 0.05, 60.0


class BatchTask(Task[[I_], R_co]):
    """A task whose handler takes a list of items: what ``@app.task(batch=...)`` makes.

    Calling it calls the handler with a list, as in a plain unit test. ``enqueue`` and ``aenqueue``
    take one item. ``batch``: how many jobs a call gets at most. ``batch_wait``: for how many
    seconds the first waits for more.
    """

    def __init__(
        self,
        function: Callable[[list[I_]], R_co],
        *,
        batch: int,
        batch_wait: float,
        **settings: Any,
    ) -> None:
        super().__init__(function, **settings)
        self.batch = batch
        self.batch_wait = batch_wait
        self.call = self.join
        self.is_async = True  # each of its jobs waits for the handler, on the loop
        self.runs_in = "loop"
        self._gatherers: WeakKeyDictionary[asyncio.AbstractEventLoop, Gatherer] = (
            WeakKeyDictionary()
        )
        self._last: tuple[Callable[[], object], Gatherer] | None = None  # that joined last

    def __call__(self, items: list[I_], /) -> R_co:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.function(items)

    @functools.cached_property
    def payload(self) -> Payload:
        """How one item becomes JSON and comes back."""
        item = one_of(self.function, self.name)
        return Payload(item, name=self.name, max_bytes=self.enqueuer.max_args_bytes)

    def join(self, item: I_) -> Coroutine[Any, Any, None]:
        """Run the current job in the next batch of this loop."""
        loop = asyncio.get_running_loop()
        last = self._last  # read once: another thread may have a loop of its own
        if last is not None and last[0]() is loop:
            return last[1].join(CURRENT.get(), item)
        gatherer = self._gatherers.get(loop)
        if gatherer is None:
            gatherer = self._gatherers[loop] = Gatherer(
                self.function, size=self.batch, wait=self.batch_wait,
                is_async=is_async(self.function),
            )  # fmt: skip
        self._last = weakref.ref(loop), gatherer
        return gatherer.join(CURRENT.get(), item)


def check_batch(
    function: Callable[..., Any],
    batch: object,
    wait: float | timedelta | None,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Return the settings of a batch. Raises ConfigError for what cannot be one."""
    size = check_int(batch, "batch", 1, _MOST)
    seconds = _WAIT if wait is None else check_seconds(wait, "batch_wait", most=_LONGEST_WAIT)
    _parameter(function)
    if settings["flow"] is not None:
        raise ConfigError(f"{where(function)}: a task with batch= cannot have a flow")
    if settings["executor"] is not None:
        raise ConfigError(
            f"{where(function)}: a task with batch= runs in the worker; executor= is for tasks "
            "that take one job"
        )
    timeout = settings["timeout"]
    if timeout is not None and check_seconds(timeout, "timeout", least=0.001) <= seconds:
        raise ConfigError(
            f"timeout must be longer than batch_wait ({seconds:g} s), which counts towards it, "
            f"got {timeout}"
        )
    return {"batch": size, "batch_wait": seconds}


def refuse_wait(function: Callable[..., Any], wait: object) -> None:
    """Raise ConfigError if a task without a batch is to wait for more jobs."""
    if wait is not None:
        raise ConfigError(
            f"{where(function)}: batch_wait={wait!r} is of a batch; give batch= as well"
        )


def takes_one(item: object) -> None:
    """Say which parameters each job of a batch has."""


def one_of(function: Callable[..., Any], task: str) -> Callable[[Any], None]:
    """Return a function with one item of the handler's list as its parameter ``item``."""
    parameter = _parameter(function)
    kind = resolve(parameter.annotation, function)
    arguments = typing.get_args(kind)
    if kind is not Any and (typing.get_origin(kind) or kind) is not list:
        raise ConfigError(
            f'task "{task}" has batch=: its parameter "{parameter.name}" must be a list, '
            f"as list[int], got {kind}"
        )

    def item(item: Any) -> None: ...

    annotation = arguments[0] if arguments else Any
    only = inspect.Parameter("item", parameter.POSITIONAL_OR_KEYWORD, annotation=annotation)
    item.__signature__ = inspect.Signature([only])  # type: ignore[attr-defined]
    return item


def _parameter(function: Callable[..., Any]) -> inspect.Parameter:
    parameters = list(inspect.signature(function).parameters.values())
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if len(parameters) != 1 or parameters[0].kind not in by_position:
        raise ConfigError(
            f"{where(function)} has batch=: it takes one parameter, the list of items; write "
            "def handler(items: list[Item])"
        )
    return parameters[0]
