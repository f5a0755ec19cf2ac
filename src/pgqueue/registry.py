"""The tasks of an app by name, and what a function has to be to become one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from pgqueue.batch.task import BatchTask, check_batch, refuse_wait, takes_one
from pgqueue.config import check_seconds, check_task_name
from pgqueue.errors import ConfigError, UnknownTask, nearest, shown
from pgqueue.executor import check_executor
from pgqueue.flow.value import Flow
from pgqueue.payload import annotated_with
from pgqueue.retry import Backoff, RetryPolicy, check_policy
from pgqueue.running import RunningJob
from pgqueue.shape import fault_of, where
from pgqueue.task import Enqueuer, OnCrash, Task
from pgqueue.unique.paths import check_paths

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Registry", "make_task"]


class Registry:
    """The tasks of an app, by name: the only names that a row can call."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task[..., Any]] = {}

    def add(self, task: Task[..., Any]) -> None:
        """Enter a task; two of one name are refused, the same function again is not."""
        names = (task.name, *task.aliases)
        for name in names:
            other = self._tasks.get(name)
            if other is not None and where(other.function) != where(task.function):
                raise ConfigError(
                    f'two tasks are named "{name}": {where(other.function)} and '
                    f"{where(task.function)}; give one @app.task(name=...)"
                )
        self._check_flow(task)
        for name in names:
            self._tasks[name] = task

    def _check_flow(self, task: Task[..., Any]) -> None:
        """Refuse a flow that another task has with other limits. Keys may differ."""
        flow = task.flow
        if flow is None:
            return
        for other in self._tasks.values():
            known = other.flow
            if known is None or known.name != flow.name or other.name == task.name:
                continue
            if known.settings != flow.settings:
                raise ConfigError(
                    f'flow "{flow.name}" has other limits in task "{other.name}" than in task '
                    f'"{task.name}"; make one Flow, and give it to both'
                )

    def flows(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the flows of these tasks by name, as they are stored."""
        flows = (task.flow for task in self._tasks.values())
        return {flow.name: flow.settings for flow in flows if flow is not None}

    def get(self, name: str) -> Task[..., Any]:
        """Return the task of that name, or raise UnknownTask with the nearest one."""
        task = self._tasks.get(name)
        if task is None:
            raise UnknownTask(f'no task is named "{name}"{nearest(name, self._tasks)}')
        return task

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._tasks

    def __iter__(self) -> Iterator[Task[..., Any]]:
        return (task for name, task in self._tasks.items() if name == task.name)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def by_name(self) -> Mapping[str, Task[..., Any]]:
        """Return all names that a row may have, aliases too, with their tasks."""
        return self._tasks


def _checked_aliases(name: str, aliases: Iterable[str]) -> tuple[str, ...]:
    if isinstance(aliases, str):
        raise ConfigError(f'aliases must be a list of names, got "{aliases}"')
    checked = tuple(dict.fromkeys(check_task_name(alias) for alias in aliases))
    if name in checked:
        raise ConfigError(f'"{name}" is the name of the task; its aliases must be other names')
    return checked


def _check_function(function: Callable[..., Any]) -> None:
    given: object = function
    if isinstance(given, Task):
        raise ConfigError(f"{where(function)} is a task already")
    if fault := fault_of(function):
        raise ConfigError(fault)
    for parameter in annotated_with(function, RunningJob):
        raise ConfigError(
            f"{where(function)} has a parameter {parameter!r} for its job; a task asks for it: "
            f"remove the parameter, and begin the function with\n"
            f"    {parameter} = pgqueue.current_job()"
        )


def _check_said(on_crash: object, flow: object) -> None:
    if on_crash not in ("retry", "dead"):
        raise ConfigError(f'on_crash must be "retry" or "dead", got {on_crash!r}')
    if flow is not None and not isinstance(flow, Flow):
        said = shown(flow) if isinstance(flow, str) else "'name'"
        raise ConfigError(
            f"flow must be a Flow, got {shown(flow)}; "
            f"write flow=pgqueue.Flow({said}, concurrency=1)"
        )


def make_task(
    function: Callable[..., Any],
    *,
    app: Enqueuer,
    name: str | None,
    aliases: Iterable[str],
    timeout: float | timedelta | None,
    retry: RetryPolicy | None,
    on_crash: OnCrash,
    options: Mapping[str, Any],
    flow: Flow | None = None,
    executor: object = None,
    memory: object = None,
    batch: int | None = None,
    batch_wait: float | timedelta | None = None,
) -> Task[..., Any]:
    """Check what the decorator was given, and make the task."""
    _check_function(function)
    if name is None:
        name = getattr(function, "__name__", None)
        if name is None or name == "<lambda>":
            raise ConfigError(f"{function!r} has no name of its own; give @app.task(name=...)")
    _check_said(on_crash, flow)
    where_it_runs, limit = check_executor(executor, memory)
    make: Callable[..., Task[..., Any]] = Task
    if batch is None:
        refuse_wait(function, batch_wait)
        check_paths(options, function, name)
    else:
        settings = {"flow": flow, "timeout": timeout, "executor": where_it_runs}
        make = partial(BatchTask, **check_batch(function, batch, batch_wait, settings))
        check_paths(options, takes_one, name)
    return make(
        function,
        app=app,
        name=check_task_name(name),
        aliases=_checked_aliases(name, aliases),
        options=options if flow is None else {**options, "flow": flow.name},
        timeout=None if timeout is None else check_seconds(timeout, "timeout", least=0.001),
        retry=Backoff() if retry is None else check_policy(retry),
        on_crash=on_crash,
        flow=flow,
        executor=where_it_runs,
        memory=limit,
    )
